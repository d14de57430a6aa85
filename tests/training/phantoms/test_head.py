import numpy as np
import pytest

from training.phantoms.head import BRAIN, ENHANCING, TUMOUR, head

SPACING = (4.0, 4.0, 4.0)
SHAPE = (48, 56, 48)
VOXEL_ML = 0.064


def test_a_head_is_decided_by_its_seed() -> None:
    first, second, other = head(5, SPACING, SHAPE), head(5, SPACING, SHAPE), head(6, SPACING, SHAPE)
    assert np.array_equal(first.flair, second.flair)
    assert np.array_equal(first.contrast_t1, second.contrast_t1)
    assert np.array_equal(first.labels, second.labels)
    assert not np.array_equal(first.flair, other.flair)


@pytest.mark.parametrize("seed", range(8))
def test_a_head_is_that_of_a_person(seed: int) -> None:
    phantom = head(seed, SPACING, SHAPE, tumours=1)
    assert phantom.flair.dtype == phantom.contrast_t1.dtype == np.int16
    assert phantom.flair.shape == phantom.contrast_t1.shape == phantom.labels.shape == SHAPE
    assert phantom.flair.min() >= 0
    assert 400 < np.count_nonzero(phantom.labels) * VOXEL_ML < 2300
    assert phantom.flair[phantom.labels == BRAIN].mean() > 100


@pytest.mark.parametrize("seed", range(8))
def test_a_tumour_lies_in_the_brain_and_is_brighter_than_it(seed: int) -> None:
    phantom = head(seed, SPACING, SHAPE, tumours=1)
    tumour, brain = phantom.labels >= TUMOUR, phantom.labels == BRAIN
    volume_ml = np.count_nonzero(tumour) * VOXEL_ML
    assert 0.3 < volume_ml < 250
    assert np.percentile(phantom.flair[tumour], 75) > np.median(phantom.flair[brain])


def test_what_takes_up_contrast_agent_is_bright_on_t1_only_there() -> None:
    shares = []
    for seed in range(10):
        phantom = head(seed, SPACING, SHAPE, tumours=1)
        enhancing = phantom.labels == ENHANCING
        if np.count_nonzero(enhancing) > 20:
            brain = np.median(phantom.contrast_t1[phantom.labels == BRAIN])
            shares.append(phantom.contrast_t1[enhancing].mean() / brain)
    assert len(shares) >= 3
    assert np.mean(shares) > 1.2


def test_a_head_without_tumour_can_be_asked_for() -> None:
    assert head(3, SPACING, SHAPE, tumours=0).labels.max() == BRAIN


def test_heads_come_with_and_without_skull() -> None:
    phantoms = [head(seed, SPACING, SHAPE, tumours=0) for seed in range(8)]
    assert {phantom.stripped for phantom in phantoms} == {True, False}
    for phantom in phantoms:
        bright_outside = float((phantom.flair[phantom.labels == 0] > 100).mean())
        assert bright_outside < 0.05 if phantom.stripped else bright_outside > 0.1, "scalp, skull and face, or none of them"
