"""The recipe of the nodule engine's networks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models import load_package
from training.errors import TrainingError
from training.phantoms.nodules import nodule_patch
from training.recipe import find_recipe
from training.recipes._nodule_malignancy_examples import Examples, class_loss, fit_spiculation
from training.recipes._nodule_malignancy_real import real_nodules
from training.recipes._nodule_malignancy_samples import nodule_loss
from training.recipes.nodule_malignancy import Settings, case_of
from training.run import Run
from training.settings import load_settings, settings_file
from training.splits import Fold
from training.watching import in_silence


@pytest.fixture(scope="module")
def settings() -> Settings:
    overrides = ["phantoms=2", "example_phantoms=2", "detector_plan.steps=2", "classifier_plan.steps=2", "batch=1"]
    overrides += ["detector.filters=[8, 8, 8, 8]", "classifier.block_inplanes=[8, 8, 8, 8]", "window=[32, 32, 32]"]
    return load_settings(Settings, settings_file("nodule-malignancy"), overrides)


def test_a_tiny_training_gives_two_packages_and_a_second_one_the_same_weights(settings: Settings, tmp_path: Path) -> None:
    recipe = find_recipe("nodule-malignancy")
    digests = []
    for name in ("first", "second"):
        run = Run(tmp_path / name, watch=in_silence)
        package = recipe.export(recipe.train(settings, run), settings, run)
        folder = run.folder / "nodule_malignancy"
        assert package.weights_digest == load_package(folder / "classifier").weights_digest
        digests.append((package.weights_digest, load_package(folder / "detector").weights_digest))
    assert digests[0] == digests[1]
    assert {"fitted"} <= set(package.metadata.model_extra or {})


def test_labels_are_diameters() -> None:
    cases = [case_of(nodule_patch(number)) for number in range(4)]
    values = {int(value) for _, labels in cases for value in np.unique(labels)}
    assert 0 in values
    assert values <= set(range(31))
    assert max(values) >= 3


def test_a_missed_nodule_costs_more_than_all_the_rest() -> None:
    truth = torch.zeros(1, 24, 24, 24, dtype=torch.long)
    truth[0, 4:8, 4:8, 4:8] = 4
    right = torch.stack([torch.where(truth > 0, -9.0, 9.0), torch.where(truth > 0, 9.0, -9.0)], dim=1)
    wrong = torch.stack([torch.full_like(right[:, 0], 9.0), torch.full_like(right[:, 0], -9.0)], dim=1)
    assert float(nodule_loss(right, truth)) < 0.01
    assert float(nodule_loss(wrong, truth)) > 1.5


def test_a_voxel_of_a_small_nodule_weighs_more_than_one_of_a_large_one() -> None:
    costs = []
    for diameter_mm in (4, 20):
        truth = torch.zeros(1, 24, 24, 24, dtype=torch.long)
        truth[0, 4:8, 4:8, 4:8] = diameter_mm
        missed = torch.stack([torch.full(truth.shape, 9.0), torch.full(truth.shape, -9.0)], dim=1)
        costs.append(float(nodule_loss(missed, truth)))
    assert costs[0] > 1.2 * costs[1]


def test_the_classifier_is_best_off_with_the_risk_itself() -> None:
    targets = torch.tensor([[0.0, 0.7, 0.3]])
    losses = [float(class_loss(torch.log(torch.tensor([[1e-6, 1 - risk, risk]])), targets)) for risk in (0.1, 0.3, 0.5)]
    assert losses[1] == min(losses)


def test_rough_nodules_are_held_for_spiculated() -> None:
    roughness = np.linspace(0, 0.5, 40)
    none = np.zeros((0, 3), np.float32)
    intercept, weight = fit_spiculation(Examples(none, none, none, roughness, roughness > 0.3))
    assert weight > 0
    assert intercept + weight * 0.1 < 0 < intercept + weight * 0.5
    assert fit_spiculation(Examples(none, none, none, roughness, roughness > 1))[1] == 0


@pytest.fixture
def rated_patches(tmp_path: Path) -> Path:
    """Patches of 51 mm in HU as npz, each with a ball; the larger half is rated malignant."""
    folder = tmp_path / "rated"
    folder.mkdir()
    distance = np.linalg.norm(np.indices((51, 51, 51)).T - 25, axis=-1)
    radii = np.linspace(3, 12, 24)
    masks = np.stack([distance < radius for radius in radii])
    np.savez(
        folder / "nodules.npz",
        volume=np.where(masks, 30, -860).astype(np.int16),
        mask=masks,
        names=[f"{number}_a" for number in range(24)],
        malignancy=np.where(radii > 6, 5, 1),
    )
    return folder


def test_real_nodules_are_learnt_from_by_their_ratings(rated_patches: Path, tmp_path: Path) -> None:
    real = real_nodules(Run(tmp_path / "run", data=rated_patches))
    assert real is not None
    assert len(real.numbers) == 24
    small, large = real.load(0), real.load(23)
    assert [phantom.truths[0].malignant for phantom in (small, large)] == [0.0, 1.0]
    assert large.truths[0].diameter_mm == pytest.approx(24, abs=1)
    assert np.argwhere(large.labels).mean(axis=0) == pytest.approx([39.5] * 3, abs=1)
    model = real.size_model()
    assert np.exp(-model.intercept / model.slope) == pytest.approx(12, abs=1.5)


def test_a_fold_of_the_patients_is_left_out(rated_patches: Path, tmp_path: Path) -> None:
    real = real_nodules(Run(tmp_path / "run", data=rated_patches, fold=Fold(1, 4)))
    assert real is not None
    assert len(real.numbers) == 18


def test_eight_bits_are_not_learnt_from_as_hounsfield_units(rated_patches: Path, tmp_path: Path) -> None:
    with np.load(rated_patches / "nodules.npz") as arrays:
        found = dict(arrays)
    eight_bits = ((found.pop("volume") + 1200) / 1600 * 255).astype(np.uint8)
    np.savez(rated_patches / "nodules.npz", volume_u8=eight_bits, **found)
    with pytest.raises(TrainingError, match="patch-1 has eight bits, which are no HU"):
        real_nodules(Run(tmp_path / "run", data=rated_patches))


def test_data_without_nodules_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no nodule"):
        real_nodules(Run(tmp_path / "run", data=tmp_path))
