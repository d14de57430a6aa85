import numpy as np
import pytest
import torch

from training.phantoms.acquisition import OUTSIDE_FIELD_OF_VIEW_HU, beyond_field_of_view
from training.phantoms.fields import Draw, Grid, blur
from training.phantoms.thorax import LEFT_LUNG, RIGHT_LUNG, thorax
from training.phantoms.thorax_build import empty_canvas

SPACING = (6.0, 6.0, 6.0)
SHAPE = (56, 56, 68)


def test_a_phantom_is_decided_by_its_seed() -> None:
    first, second, other = thorax(5, SPACING, SHAPE), thorax(5, SPACING, SHAPE), thorax(6, SPACING, SHAPE)
    assert np.array_equal(first.hu, second.hu)
    assert np.array_equal(first.labels, second.labels)
    assert not np.array_equal(first.hu, other.hu)


@pytest.mark.parametrize("seed", range(6))
def test_a_healthy_phantom_has_a_lung_of_air_on_each_side(seed: int) -> None:
    phantom = thorax(seed, SPACING, SHAPE, healthy=True)
    voxel_ml = np.prod(SPACING) / 1000
    centres = []
    for label in (RIGHT_LUNG, LEFT_LUNG):
        lung = phantom.labels == label
        assert 500 < lung.sum() * voxel_ml < 6000
        assert -950 < phantom.hu[lung].mean() < -550
        centres.append(np.nonzero(lung)[2].mean())
    assert centres[0] < centres[1], "columns grow towards the patient's left"
    assert phantom.airway.any()
    assert not phantom.labels[phantom.airway].any()
    assert phantom.nodules.any()
    assert phantom.labels[phantom.nodules].all()


@pytest.mark.parametrize("seed", range(20, 30))
def test_values_stay_those_of_a_scanner(seed: int) -> None:
    phantom = thorax(seed, SPACING, SHAPE)
    assert phantom.hu.dtype == np.int16
    assert phantom.hu.shape == phantom.labels.shape == SHAPE
    within = phantom.hu[phantom.hu != -2048]
    assert -1024 <= within.min() < within.max() <= 3071


@pytest.mark.parametrize("seed", range(4))
def test_every_nodule_of_a_healthy_patient_is_known_by_place_and_size(seed: int) -> None:
    phantom = thorax(seed, SPACING, SHAPE, healthy=True)
    assert 2 <= len(phantom.known_nodules) <= 4
    marked = np.zeros(SHAPE, bool)
    for nodule in phantom.known_nodules:
        assert nodule.attenuation in {"solid", "part-solid", "ground-glass"}
        reach = int(np.ceil(nodule.diameter_mm / SPACING[0])) + 1
        marked[tuple(slice(max(0, index - reach), index + reach + 1) for index in nodule.centre)] = True
    assert not (phantom.nodules & ~marked).any()


def test_there_is_no_lung_where_there_is_no_image() -> None:
    cut = 0
    for seed in range(20, 32):
        phantom = thorax(seed, SPACING, SHAPE)
        beyond = beyond_field_of_view(torch.from_numpy(phantom.hu)).numpy()
        assert not phantom.labels[beyond].any()
        assert not phantom.nodules[beyond].any()
        cut += bool(beyond.any())
    assert cut > 2, f"fields of view that end at {OUTSIDE_FIELD_OF_VIEW_HU}"


def test_patients_differ_in_what_a_network_must_not_trust() -> None:
    """Size, density and presence of the lungs: dark and dense ones, and chests with one lung only."""
    medians, one_sided = [], 0
    for seed in range(36):
        phantom = thorax(seed, (12.0, 12.0, 12.0), (28, 28, 34))
        counts = np.bincount(phantom.labels.ravel(), minlength=3)[1:]
        if counts.sum() > 170:
            medians.append(float(np.median(phantom.hu[phantom.labels > 0])))
            one_sided += counts.min() == 0
    assert min(medians) < -930
    assert max(medians) > -780
    assert one_sided >= 1


def test_a_removed_lung_leaves_no_label() -> None:
    seeds = [seed for seed in range(60) if empty_canvas(Grid((30.0,) * 3, (4, 4, 4)), Draw(seed), plain=False).build.absent]
    assert seeds
    for seed in seeds:
        side = empty_canvas(Grid((30.0,) * 3, (4, 4, 4)), Draw(seed), plain=False).build.absent
        labels = thorax(seed, SPACING, SHAPE).labels
        assert not (labels == (RIGHT_LUNG if side < 0 else LEFT_LUNG)).any()


def test_noise_has_the_same_size_at_every_resolution() -> None:
    slopes = []
    for spacing, shape in (((3.0, 3.0, 3.0), (60, 60, 60)), ((2.5, 0.7, 0.7), (72, 256, 256))):
        noise = Draw(1).smooth(Grid(spacing, shape), 12.0)
        assert noise.shape == shape
        assert float(noise.std()) == pytest.approx(1.0, abs=0.15)
        slopes.append(float(noise.diff(dim=2).std()) / spacing[2])
    assert slopes[0] == pytest.approx(slopes[1], rel=0.15), "per mm"


def test_blur_keeps_the_sum_and_the_borders() -> None:
    flat = blur(Draw(1).white((1, 1, 1)).expand(8, 9, 10).clone(), (1.0, 0.2, 7.0))
    assert float(flat.std()) < 1e-6
