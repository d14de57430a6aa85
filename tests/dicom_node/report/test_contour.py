"""Outlines run along the mask, in the coordinates of a SCOORD."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.report.contour import MOST_POINTS, largest_outline, long_axis


def ball(radius: float) -> np.ndarray:
    k, r, c = np.indices((9, 64, 64))
    return np.asarray((k - 3) ** 2 * 25 + (r - 30) ** 2 + (c - 20) ** 2 <= radius**2)


@given(st.floats(min_value=0, max_value=28))
def test_the_outline_is_closed_on_the_largest_slice_and_half_a_pixel_from_the_mask(radius: float) -> None:
    mask = ball(radius)
    outline = largest_outline(mask)
    assert outline.slice_index == 3
    assert len(outline.points) <= MOST_POINTS + 2
    np.testing.assert_array_equal(outline.points[0], outline.points[-1])
    rows, columns = np.nonzero(mask[3])
    centres = np.stack([columns, rows], 1) + 0.5
    distances = np.linalg.norm(outline.points[:, None] - centres[None], axis=2).min(axis=1)
    assert distances.max() <= 0.71


def test_the_centre_of_the_first_pixel_is_half_a_pixel_from_the_corner() -> None:
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 0, 0] = True
    assert largest_outline(mask).points.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.2)


def test_the_long_axis_counts_millimetres_not_pixels() -> None:
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 5:15, 5:20] = True
    _, by_columns = long_axis(largest_outline(mask), (1.0, 1.0))
    axis, by_rows = long_axis(largest_outline(mask), (3.0, 1.0))
    assert by_columns == pytest.approx(np.hypot(10, 15), abs=1.2)
    assert by_rows == pytest.approx(np.hypot(30, 15), abs=1.2)
    assert axis.points.shape == (2, 2)
