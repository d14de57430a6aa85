from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models import Intensity
from training.cases import Case, CaseStore, PatchSampler

INTENSITY = Intensity(clip=(-1024, 300), subtract=0, divide=1)


def _case(number: int) -> Case:
    hu = np.full((20, 24, 28), number - 500, np.int16)
    return hu, np.full(hu.shape, 1, np.uint8)


def _refuse(number: int) -> Case:
    raise AssertionError(number)


def test_a_case_is_made_once_and_then_read(tmp_path: Path) -> None:
    first = CaseStore(tmp_path, _case).load(3)
    again = CaseStore(tmp_path, _refuse).load(3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(AssertionError):
        CaseStore(tmp_path, _refuse).load(4)


def test_patches_have_the_asked_shape_and_follow_the_generator(tmp_path: Path) -> None:
    sampler = PatchSampler(CaseStore(tmp_path, _case), range(4), (16, 16, 16), INTENSITY, batch=3)
    images, labels = sampler(torch.Generator().manual_seed(1))
    assert images.shape == (3, 1, 16, 16, 16)
    assert labels.shape == (3, 16, 16, 16)
    again, _ = sampler(torch.Generator().manual_seed(1))
    other, _ = sampler(torch.Generator().manual_seed(2))
    assert torch.equal(images, again)
    assert not torch.equal(images, other)


def test_where_coverage_is_missing_there_is_air_without_lung(tmp_path: Path) -> None:
    sampler = PatchSampler(CaseStore(tmp_path, _case), range(1), (16, 16, 16), INTENSITY, batch=8, missing_coverage=1.0)
    images, labels = sampler(torch.Generator().manual_seed(0))
    assert torch.equal(labels == 0, images[:, 0] == -1024)
    assert (labels == 0).any()
    assert (labels == 1).any()
