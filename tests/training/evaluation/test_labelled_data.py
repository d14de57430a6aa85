import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from typer.testing import CliRunner, Result

from tests.training.evaluation import ball_engine, nested_engine
from tests.training.evaluation.ball_cases import SPACING_MM, ball
from tests.training.test_cli_evaluate import APPLICATION
from training.errors import TrainingError
from training.evaluation.headers import header_attributes
from training.evaluation.labelled_data import DataWords, as_labelled_volume, holds_patches, volumes_of
from training.phantoms.series import write_series
from training.phantoms.thorax import thorax
from training.readers.labelled_case import LabelledCase, Lesion

BALLS = (ball((6, 12, 12), 4), ball((6, 28, 28), 6))
LABELS = (BALLS[0] * 1 + BALLS[1] * 2).astype(np.uint8)
HU = np.where(LABELS > 0, 100, 0).astype(np.int16)


def _case(
    lesions: tuple[Lesion, ...] = (), direction: float = 1.0, names: tuple[str, ...] = ("nodule 1", "nodule 2")
) -> LabelledCase:
    affine = np.eye(4)
    affine[:3, :3] = np.diag(SPACING_MM)[::-1]
    affine[:3, 0] *= direction
    return LabelledCase("c", "p", HU, LABELS, affine, "CT", ("background", *names), lesions)


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM[::-1])
    SimpleITK.WriteImage(image, path)


def _pairs(folder: Path) -> None:
    for name in ("one", "two"):
        _write(folder / "images" / f"{name}.nii.gz", HU)
        _write(folder / "labels" / f"{name}.nii.gz", LABELS)


def _nnunet(folder: Path) -> None:
    for name in ("one", "two"):
        _write(folder / "imagesTr" / f"{name}_0000.nii.gz", HU)
        _write(folder / "labelsTr" / f"{name}.nii.gz", LABELS)
    words = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "Ball 1": 1, "Ball 2": 2}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(words))


@pytest.mark.parametrize(("write", "words"), [(_pairs, ("1=ball", "2=ball")), (_nnunet, ())])
def test_a_folder_is_evaluated_whatever_its_form(tmp_path: Path, write: Callable[[Path], None], words: tuple[str, ...]) -> None:
    write(tmp_path / "data")
    options = [word for text in words for word in ("--label", text)]
    command = [
        "ball-finder",
        "--module",
        ball_engine.__name__,
        "--data",
        str(tmp_path / "data"),
        "--output",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(APPLICATION, [*command, *options])
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [case["structures"]["ball"]["dice"] for case in metrics["cases"]] == [1.0, 1.0]


def _evaluate(folder: Path, *words: str) -> Result:
    command = ["nested", "--module", nested_engine.__name__, "--data", str(folder / "data"), "--output", str(folder / "out")]
    return CliRunner().invoke(APPLICATION, [*command, *words])


@pytest.mark.parametrize(("outer", "inner"), [("liver", "lesion"), ("tumour", "enhancing")])
def test_a_label_may_be_part_of_several_structures(tmp_path: Path, outer: str, inner: str) -> None:
    labels = (ball((6, 20, 20), 10) * 1 + ball((6, 20, 22), 4)).astype(np.uint8)
    _write(tmp_path / "data" / "images" / "one.nii.gz", (labels * 100).astype(np.int16))
    _write(tmp_path / "data" / "labels" / "one.nii.gz", labels)
    options = [f"--option=outer={outer}", f"--option=inner={inner}", f"--label=1={outer}", f"--label=2={outer}+{inner}"]
    result = _evaluate(tmp_path, *options)
    assert result.exit_code == 0, result.output
    (case,) = json.loads((tmp_path / "out" / "metrics.json").read_text())["cases"]
    assert {name: score["dice"] for name, score in case["structures"].items()} == {outer: 1.0, inner: 1.0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--label=2=liver", "--label=2=lesion"], "2 was told to be liver already"),
        (["--label=2=liver+"], "several structures with + between them"),
        (["--option=outer=a", "--option=outer=b"], "outer was told to be a already"),
    ],
)
def test_words_that_contradict_each_other_are_refused(tmp_path: Path, words: list[str], said: str) -> None:
    _pairs(tmp_path / "data")
    options = [] if "--option" in words[0] else ["--option=outer=liver", "--option=inner=lesion"]
    result = _evaluate(tmp_path, *options, *words)
    assert result.exit_code == 1
    assert said in result.output


def test_a_label_is_told_by_its_name_or_by_its_number() -> None:
    words = DataWords(labels={"1": ("liver",), "nodule 1": ("lesion",)})
    with pytest.raises(TrainingError, match="by its name and by its number 1"):
        as_labelled_volume(_case(), words, {})


def test_reports_hold_no_names_of_files(tmp_path: Path) -> None:
    for part, values in (("images", HU), ("labels", LABELS)):
        _write(tmp_path / "data" / part / "Doe_Jane_1970.nii.gz", values)
    options = ["--option=outer=label-1", "--option=inner=label-2"]
    result = _evaluate(tmp_path, *options)
    assert result.exit_code == 0, result.output
    report, metrics = ((tmp_path / "out" / name).read_text() for name in ("report.html", "metrics.json"))
    assert "case-1" in report
    for text in (report, metrics, result.output):
        assert "Doe_Jane" not in text


def test_numbered_labels_are_lesions_of_one_structure() -> None:
    case = as_labelled_volume(_case(), DataWords(), {"maker": "A"})
    assert list(case.truth) == ["nodule"]
    assert np.array_equal(case.truth["nodule"], LABELS > 0)
    assert [round(lesion.diameter_mm) for lesion in case.lesions["nodule"]] == [8, 12]
    assert case.attributes["maker"] == "A"
    assert case.attributes["slice thickness"] == "1.5 to 3 mm"


def test_a_stack_that_runs_to_the_feet_keeps_its_labels_in_place() -> None:
    case = as_labelled_volume(_case(direction=-1.0), DataWords(), {})
    assert np.array_equal(case.volume.voxels > 50, case.truth["nodule"])
    up = as_labelled_volume(_case(), DataWords(), {})
    assert case.lesions["nodule"][0].centre_mm[:2] == pytest.approx(up.lesions["nodule"][0].centre_mm[:2])
    assert case.lesions["nodule"][0].centre_mm[2] == pytest.approx(-up.lesions["nodule"][0].centre_mm[2])


def test_nodules_that_few_readers_saw_are_not_scored() -> None:
    ratings = {"subtlety": 3.0}
    lesions = (Lesion("nodule 1", 1, ratings, readers=2), Lesion("nodule 2", 2, ratings, readers=3))
    case = as_labelled_volume(_case(lesions), DataWords(), {})
    assert [lesion.scored for lesion in case.lesions["nodule"]] == [False, True]


def test_a_structure_that_a_case_does_not_have_is_known_to_be_absent() -> None:
    words = DataWords(labels={"nodule 1": ("liver",), "nodule 2": ("liver",), "tumour": ("lesion",)})
    case = as_labelled_volume(_case(), words, {})
    assert not case.truth["lesion"].any()
    assert case.lesions == {"lesion": ()}


def test_channels_serve_as_companion_series() -> None:
    plain = _case()
    both = LabelledCase("c", "p", np.stack([HU, HU + 7]), LABELS, plain.affine, "MR", plain.structures)
    case = as_labelled_volume(both, DataWords(roles={"t1c": 1}), {})
    assert int(case.companions["t1c"].voxels.max()) == 107
    assert int(case.volume.voxels.max()) == 100


def test_headers_give_the_subgroups_of_a_series(tmp_path: Path) -> None:
    files = write_series(thorax(1, (12.0, 12.0, 12.0), (4, 24, 32), healthy=True), tmp_path, "case")
    (attributes,) = header_attributes(tmp_path).values()
    assert attributes["maker"] == "Synthetic"
    assert set(attributes) == {"maker", "scanner", "sex", "age"}
    assert header_attributes(files[0]) == {}


def test_patches_are_told_from_examinations(tmp_path: Path) -> None:
    (tmp_path / "pngs" / "benign" / "P1" / "n1").mkdir(parents=True)
    (tmp_path / "pngs" / "benign" / "P1" / "n1" / "1.png").touch()
    assert holds_patches(tmp_path / "pngs")
    assert holds_patches(Path("x.npz"))
    assert not holds_patches(tmp_path / "pngs" / "benign" / "P1" / "n1" / "1.png")


def test_a_file_is_no_folder_of_examinations(tmp_path: Path) -> None:
    (tmp_path / "x.nii.gz").touch()
    with pytest.raises(TrainingError, match="no folder"):
        list(volumes_of(tmp_path / "x.nii.gz", DataWords()))


def test_patches_are_for_the_nodule_engine_alone(tmp_path: Path) -> None:
    (tmp_path / "x.npz").touch()
    words = ["lung-segmentation", "--data", str(tmp_path / "x.npz"), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(APPLICATION, words)
    assert result.exit_code == 1
    assert "only nodule-malignancy" in result.output
