"""Engines for projection images: classes, refusals, champion and challenger."""

from pathlib import Path

import numpy as np
import pytest

from engine.projection import ProjectionImage
from engine.volume import SliceReference
from tests.synthetic_projection import write_projection
from tests.training.evaluation import bright_engine
from training.errors import TrainingError
from training.evaluation.document import Report
from training.evaluation.images import LabelledImage, evaluate_images, folder_images
from training.evaluation.page import render
from training.evaluation.subject import Subject


def _image(number: int, kind: str, modality: str = "DX") -> LabelledImage:
    level = {"dark": 90, "bright": 160}[kind] + 25 * (number % 3)
    pixels = np.full((8, 8), level, np.float32)
    image = ProjectionImage(pixels, (0.0, 255.0), None, modality, "PA", "", SliceReference(f"2.25.{number}"))
    return LabelledImage(f"image-{number}", f"P{number}", image, kind, {"maker": "AB"[number % 2]})


IMAGES = [_image(number, ("dark", "bright")[number % 2]) for number in range(20)]


def _report(cases: list[LabelledImage], package: Path | None = None, champion: Path | None = None) -> Report:
    own, other = (Subject("brightness", path, bright_engine.__name__) for path in (package, champion))
    return evaluate_images(own, other if champion else None, cases, "Squares.")


def _package(folder: Path, gain: float, **files: str) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "gain").write_text(str(gain))
    return folder


def test_classes_are_told_apart_and_counted() -> None:
    report = _report(IMAGES)
    figures = {figure.name: figure.interval for figure in report.sections[0].figures}
    assert report.sections[0].title == "Bright or dark"
    assert (figures["AUC"].estimate, figures["AUC"].cases) == (1.0, 20)
    (table,) = report.sections[-1].tables
    assert table.rows == (("dark", "7", "3"), ("bright", "0", "10"))
    assert "17 of 20 images" in report.sections[-1].text[0]
    assert "Bright or dark" in render(report)


def test_refused_images_are_listed_and_not_scored() -> None:
    report = _report([*IMAGES, _image(20, "dark", modality="CR")])
    assert report.sections[0].figures[0].interval.cases == 20
    assert "image-20: Brightness needs DX." in report.sections[-1].text
    assert "1 refused" in report.data[1]


def test_a_package_that_turns_the_answer_round_is_not_taken(tmp_path: Path) -> None:
    champion, challenger = _package(tmp_path / "a", 1.0), _package(tmp_path / "b", -1.0)
    assert _report(IMAGES, challenger, champion).verdict.startswith("Keep the champion")
    assert _report(IMAGES, champion, challenger).verdict.startswith("Replace the champion")


@pytest.mark.parametrize("side", ["champion", "challenger"])
def test_what_one_of_the_two_refuses_counts_for_it_as_answered_wrong(tmp_path: Path, side: str) -> None:
    strict, other = _package(tmp_path / "strict", 1.0, brightest="180"), _package(tmp_path / "other", 1.0)
    champion, challenger = (strict, other) if side == "champion" else (other, strict)
    cases = [*IMAGES, _image(20, "bright", modality="CR")]
    report = _report(cases, challenger, champion)
    figures = {figure.name: figure.interval for figure in report.sections[0].figures}
    refused = sum(image.image.pixels.max() > 180 for image in IMAGES)
    assert refused > 0
    counts = (refused + 1, 1) if side == "champion" else (1, refused + 1)
    said = f"Refused: {counts[0]} of 21 images by the champion, {counts[1]} by the challenger"
    assert said in " ".join(report.sections[0].text)
    assert figures[f"AUC, {side}"].estimate < 1
    assert {figures[f"AUC, {who}"].cases for who in ("champion", "challenger")} == {20}
    assert report.verdict.startswith("Keep" if side == "challenger" else ("Replace", "Undecided"))


def test_a_champion_that_refuses_everything_is_beaten(tmp_path: Path) -> None:
    champion = _package(tmp_path / "a", 1.0, brightest="0")
    assert _report(IMAGES, None, champion).verdict.startswith("Replace the champion")


def test_a_champion_of_other_classes_is_not_compared(tmp_path: Path) -> None:
    champion = _package(tmp_path / "a", 1.0, classes="black white")
    with pytest.raises(TrainingError, match="champion has no class bright"):
        _report(IMAGES, None, champion)


def test_a_class_that_the_package_does_not_know_is_named() -> None:
    with pytest.raises(TrainingError, match="no class dim"):
        _report([LabelledImage("image-1", "P1", IMAGES[0].image, "dim")])


def test_folders_name_the_classes_of_dicom_images(tmp_path: Path) -> None:
    for number, kind in enumerate(("bright", "dark", "dark"), start=1):
        (tmp_path / kind).mkdir(exist_ok=True)
        write_projection(tmp_path / kind / f"{number}.dcm", number=number, PatientID=f"secret-{number}")
    (tmp_path / "dark" / "notes.txt").write_text("no image")
    cases = list(folder_images(tmp_path))
    assert [(case.key, case.kind) for case in cases] == [("image-1", "bright"), ("image-2", "dark"), ("image-3", "dark")]
    assert len({case.patient for case in cases}) == 3
    assert not any("secret" in case.patient for case in cases)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no DICOM image"):
        list(folder_images(tmp_path))
