"""Values of an image on their way to an engine."""

import numpy as np
import pytest

from training.errors import LabelError
from training.readers.labelled_case import LabelledCase, as_volume, in_hu

AFFINE = np.eye(4)[:, [2, 1, 0, 3]]


def _case(values: list[float], kind: type[np.generic] = np.int16) -> LabelledCase:
    image = np.array(values, kind).reshape(1, 2, 2)
    return LabelledCase("case-1", "p", image, np.zeros((1, 2, 2), np.uint8), AFFINE, "CT", ("background",))


def test_hounsfield_units_in_floats_stay_what_they_are() -> None:
    values = np.array([-900.4, 60.6, 0.0, 300.0], np.float32).reshape(1, 2, 2)
    volume = as_volume(values, AFFINE, "CT", "case-1")
    assert volume.value_scale == 1
    assert volume.voxels.ravel().tolist() == [-900, 61, 0, 300]


def test_small_values_of_mr_use_the_whole_range() -> None:
    values = np.array([0.0, 0.25, 0.5, 1.0], np.float32).reshape(1, 2, 2)
    volume = as_volume(values, AFFINE, "MR", "case-1")
    assert volume.voxels.max() == 32767
    assert volume.voxels.ravel() * volume.value_scale == pytest.approx([0, 0.25, 0.5, 1], abs=1e-4)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_ct_beyond_every_hounsfield_unit_is_refused(kind: type[np.generic]) -> None:
    values = np.array([0, 1, 2, 65535], kind).reshape(1, 2, 2)
    with pytest.raises(LabelError, match="values from 0 to 65535 are no HU"):
        as_volume(values, AFFINE, "CT", "case-1")


def test_eight_bits_are_read_through_a_window() -> None:
    case = _case([0, 51, 102, 255], np.uint8)
    assert in_hu(case, (-1200.0, 400.0)).image.ravel().tolist() == [-1200, -880, -560, 400]
    with pytest.raises(LabelError, match="eight bits"):
        in_hu(case)


def test_what_holds_air_is_in_hounsfield_units_already() -> None:
    case = _case([-1000, 40, 100, 255])
    assert in_hu(case) is case
    bone = _case([0, 40, 100, 700])
    assert in_hu(bone, (-1200.0, 400.0)) is bone
