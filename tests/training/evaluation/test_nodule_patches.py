"""The judgement of malignancy on patches, with the shipped models."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.training.test_cli_evaluate import APPLICATION
from training.errors import TrainingError
from training.evaluation.nodule_patches import patches_of
from training.readers.labelled_case import LabelledCase, Lesion
from training.readers.patch_arrays import read_patch_arrays

WINDOW = (-1200.0, 400.0)
SIZE = 51


def _patch(diameter_mm: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A soft ball in lung with noise, as values of eight bits in the window."""
    distance = np.linalg.norm(np.indices((SIZE,) * 3) - SIZE // 2, axis=0)
    hu = -850 + 890 / (1 + np.exp((distance - diameter_mm / 2) * 2))
    hu += np.random.default_rng(seed).normal(0, 20, hu.shape)
    eight_bits = np.clip((hu - WINDOW[0]) / (WINDOW[1] - WINDOW[0]) * 255, 0, 255).round().astype(np.uint8)
    return eight_bits, distance <= diameter_mm / 2


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four nodules: two small ones called benign, two large ones called malignant, and one that readers were not sure of."""
    made = [_patch(diameter, seed) for seed, diameter in enumerate((6, 7, 18, 20, 10))]
    path: Path = tmp_path_factory.mktemp("patches") / "nodules.npz"
    ratings = np.array([1, 2, 5, 4, 3])
    names = np.array([f"{number}_a" for number in range(5)])
    volumes, masks = (np.stack(parts) for parts in zip(*made, strict=True))
    np.savez(path, volume_u8=volumes, mask=masks, malignancy=ratings, texture=np.full(5, 5), names=names)
    return path


def test_large_nodules_are_more_suspicious_than_small_ones(arrays: Path, tmp_path: Path) -> None:
    words = ["nodule-malignancy", "--data", str(arrays), "--window=-1200,400", "--output", str(tmp_path)]
    result = CliRunner().invoke(APPLICATION, words)
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    figures = {(figure["name"], figure["of"]): figure for section in metrics["sections"] for figure in section["figures"]}
    assert figures["AUC", "feature model"]["estimate"] == 1.0
    assert figures["AUC", "feature model"]["cases"] == 4
    assert figures["share drawn", "nodule"]["estimate"] == 1.0
    assert figures["Dice", "nodule"]["estimate"] > 0.7


def test_eight_bits_need_a_window(arrays: Path) -> None:
    with pytest.raises(TrainingError, match="--window"):
        next(patches_of(read_patch_arrays(arrays, (1.0, 1.0, 1.0)), None))


def test_a_window_gives_hounsfield_units_and_ratings_decide(arrays: Path) -> None:
    patches = list(patches_of(read_patch_arrays(arrays, (1.0, 1.0, 1.0)), WINDOW))
    assert [patch.malignant for patch in patches] == [False, False, True, True]
    assert patches[3].volume.voxels[25, 25, 25] == pytest.approx(40, abs=80)
    assert patches[0].volume.voxels[2:8, 2:8, 2:8].mean() == pytest.approx(-850, abs=10)
    assert patches[0].attributes == {"texture": "solid"}


def test_rated_nodules_of_an_examination_are_looked_at_where_they_are() -> None:
    labels = np.zeros((40, 60, 60), np.uint8)
    labels[10:14, 20:24, 30:34], labels[30:33, 40:43, 50:53] = 1, 2
    affine = np.diag([1.0, 1.0, 1.0, 1.0])[:, [2, 1, 0, 3]]
    lesions = tuple(Lesion(f"nodule {number}", number, {"malignancy": rating}) for number, rating in ((1, 4.5), (2, 1.5)))
    case = LabelledCase(
        "c", "p", np.full(labels.shape, -800, np.int16), labels, affine, "CT", ("background", "a", "b"), lesions
    )
    first, second = patches_of([case], None)
    assert first.centre_mm == pytest.approx((31.5, 21.5, 11.5))
    assert second.centre_mm == pytest.approx((51, 41, 31))
    assert (first.malignant, second.malignant) == (True, False)
