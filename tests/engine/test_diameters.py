"""Axes of outlines, in millimetres on the source slices."""

import numpy as np
import pytest

from engine.catalog._diameters import axes_of
from training.evaluate import volume_of


def test_axes_are_those_of_a_turned_ellipse() -> None:
    rows, columns = np.indices((80, 80)) - 40
    turned = (rows + columns) / np.sqrt(2), (rows - columns) / np.sqrt(2)
    mask = ((turned[0] / 30) ** 2 + (turned[1] / 12) ** 2 < 1)[None]
    found = axes_of(volume_of(np.zeros(mask.shape, np.int16), (2.0, 0.5, 0.5)), mask)
    assert found.long_mm == pytest.approx(30, abs=1)
    assert found.short_mm == pytest.approx(12, abs=1)


def test_axes_are_those_of_the_longest_slice_in_millimetres() -> None:
    z, y, x = np.ogrid[:12, :60, :60]
    mask = ((z - 6) / 4.2) ** 2 + ((y - 30) / 20) ** 2 + ((x - 30) / 10) ** 2 <= 1
    axes = axes_of(volume_of(np.zeros(mask.shape, np.int16), (2.0, 0.7, 0.7)), mask)
    assert axes.long_mm == pytest.approx(41 * 0.7, abs=1.0)
    assert axes.short_mm == pytest.approx(21 * 0.7, abs=1.0)
    assert axes.slice_index == 6


def test_one_voxel_has_axes() -> None:
    mask = np.zeros((10, 20, 20), bool)
    mask[4, 5, 6] = True
    axes = axes_of(volume_of(np.zeros(mask.shape, np.int16), (2.0, 0.7, 0.7)), mask)
    assert (axes.long_mm, axes.short_mm) == pytest.approx((0.7, 0.7))
