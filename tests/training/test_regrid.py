import numpy as np
import pytest

from training.errors import LabelError
from training.readers.labelled_case import LabelledCase
from training.regrid import on_canonical_grid

SHAPE = (24, 30, 36)


def _case(affine: np.ndarray, image: np.ndarray | None = None, modality: str = "CT") -> LabelledCase:
    """A box whose first corner is marked by a second label."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:16, 6:18, 8:20] = 1
    labels[4:10, 6:12, 8:14] = 2
    values = np.where(labels > 0, 100 * labels.astype(np.int16), np.int16(-1000)).astype(np.int16)
    return LabelledCase("c", "p", values if image is None else image, labels, affine, modality, ("background", "box", "corner"))


def _affine(*axes: tuple[float, float, float]) -> np.ndarray:
    """Of the steps along slices, rows and columns."""
    affine = np.eye(4)
    affine[:3, :3] = np.stack(axes, axis=-1)
    return affine


def test_a_case_that_lies_on_the_grid_stays_as_it_is() -> None:
    case = _case(_affine((0, 0, 2), (0, 2, 0), (2, 0, 0)))
    image, labels = on_canonical_grid(case, (2.0, 2.0, 2.0), -1000)
    assert np.array_equal(labels, case.labels)
    assert np.array_equal(image, case.image)


@pytest.mark.parametrize(
    ("affine", "turn"),
    [
        (_affine((0, 0, -2), (0, 2, 0), (2, 0, 0)), (0,)),
        (_affine((0, 0, 2), (0, -2, 0), (-2, 0, 0)), (1, 2)),
        (_affine((0, 0, 2), (0, 2, 0), (-2, 0, 0)), (2,)),
    ],
)
def test_axes_that_run_the_other_way_are_turned(affine: np.ndarray, turn: tuple[int, ...]) -> None:
    case = _case(affine)
    image, labels = on_canonical_grid(case, (2.0, 2.0, 2.0), -1000)
    assert np.array_equal(labels, np.flip(case.labels, turn))
    assert np.array_equal(image, np.flip(case.image, turn))


def test_a_coarser_grid_keeps_volumes_and_places() -> None:
    case = _case(_affine((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    _, labels = on_canonical_grid(case, (2.0, 2.0, 2.0), -1000)
    for label in (1, 2):
        fine, coarse = np.count_nonzero(case.labels == label), 8 * np.count_nonzero(labels == label)
        assert abs(coarse / fine - 1) < 0.15, label


def test_several_channels_and_small_values_survive() -> None:
    generator = np.random.default_rng(0)
    image = generator.normal(0, 0.01, (2, *SHAPE)).astype(np.float32)
    case = _case(_affine((0, 0, 2), (0, 2, 0), (2, 0, 0)), image, "MR")
    found, _ = on_canonical_grid(case, (2.0, 2.0, 2.0), 0.0)
    assert found.dtype == np.float32
    assert np.allclose(found, image, atol=1e-5)


def test_a_skewed_grid_is_refused() -> None:
    with pytest.raises(LabelError, match="right angles"):
        on_canonical_grid(_case(_affine((0, 0, 2), (0.5, 2, 0), (2, 0, 0))), (2.0, 2.0, 2.0), -1000)


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(LabelError, match="voxels, its labels"):
        _case(np.eye(4), np.zeros((3, 3, 3), np.int16))
