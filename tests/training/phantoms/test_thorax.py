import numpy as np
import pytest

from training.phantoms.fields import Draw, Grid, blur
from training.phantoms.thorax import LEFT_LUNG, RIGHT_LUNG, thorax

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
