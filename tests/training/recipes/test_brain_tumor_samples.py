"""Windows of heads for the brain tumour network."""

import numpy as np
import pytest
import torch

from engine.models import Intensity
from training.cases import Case
from training.phantoms.head import BRAIN, ENHANCING, TUMOUR
from training.recipes._brain_tumor_samples import HeadSampler
from training.sampling import Mixture, Pool

INTENSITY = Intensity(clip=(0, 3.5), subtract=1, divide=1)
WINDOW = (16, 16, 16)


def _case(channels: int = 2, size: int = 24, *, labelled_brain: bool = True) -> Case:
    """A cube of brain around a cube of tumour, the middle of which enhances."""
    labels = np.zeros((size,) * 3, np.uint8)
    labels[2:-2, 2:-2, 2:-2] = BRAIN
    labels[6:-6, 6:-6, 6:-6] = TUMOUR
    labels[9:-9, 9:-9, 9:-9] = ENHANCING
    images = np.stack([np.array([0, 300, 600, 600])[labels], np.array([0, 300, 200, 700])[labels]]).astype(np.int16)
    if not labelled_brain:
        labels[labels == BRAIN] = 0
    return (images if channels == 2 else images[0]), labels


def _sampler(case: Case, without_t1: float) -> HeadSampler:
    return HeadSampler(Mixture(Pool(lambda _: case, (0,))), WINDOW, INTENSITY, without_t1=without_t1)


def _batch(sampler: HeadSampler, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return sampler(torch.Generator().manual_seed(seed))


def test_a_batch_is_decided_by_its_generator() -> None:
    sampler = _sampler(_case(), without_t1=0.5)
    first, second, other = (_batch(sampler, seed) for seed in (1, 1, 2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


def test_with_contrast_t1_the_enhancing_part_is_a_class_of_its_own() -> None:
    images, labels = _batch(_sampler(_case(), without_t1=0))
    assert images.shape == (2, 2, *WINDOW)
    assert labels.shape == (2, *WINDOW)
    assert labels.unique().tolist() == [0, BRAIN, TUMOUR, ENHANCING] or labels.unique().tolist() == [BRAIN, TUMOUR, ENHANCING]
    assert images[:, 1].std() > 0


@pytest.mark.parametrize("channels", [1, 2])
def test_without_contrast_t1_what_enhances_is_tumour_like_the_rest(channels: int) -> None:
    images, labels = _batch(_sampler(_case(channels), without_t1=1.0 if channels == 2 else 0.0))
    assert (images[:, 1] == 0).all()
    assert labels.max() == TUMOUR


def test_the_brain_is_near_the_middle_of_the_scale_and_tumour_above() -> None:
    for seed in range(6):
        images, labels = _batch(_sampler(_case(), without_t1=1), seed)
        assert images[:, 0][labels == BRAIN].mean().abs() < 0.25
        assert images[:, 0][labels == TUMOUR].mean() > 0.3
        assert images.min() >= -1


def test_a_real_case_without_brain_label_is_taken_for_stripped_and_one_too_small_is_padded() -> None:
    _, labels = _batch(_sampler(_case(size=20, labelled_brain=False), without_t1=1))
    assert (labels == BRAIN).any()
    images, labels = _batch(_sampler(_case(size=14, labelled_brain=False), without_t1=1))
    assert images.shape[2:] == WINDOW
    assert (labels == 0).any()
