"""Patches around a point of a series, whatever its stack, and back."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engine.catalog._nodule_patches import cut, field_on_source, mask_on_source, patch_grid, patch_of
from engine.volume import Volume
from training.evaluate import volume_of

CENTRE_MM = np.array([12.0, -9.0, 6.0])
RADIUS_MM = 8.0


def _with_ball(volume: Volume) -> Volume:
    """A ball of water in air at CENTRE_MM."""
    _, rows, columns = volume.voxels.shape
    down = np.arange(rows)[:, None, None] * volume.pixel_spacing_mm[0] * volume.column_direction
    across = np.arange(columns)[:, None] * volume.pixel_spacing_mm[1] * volume.row_direction
    points = volume.positions_mm[:, None, None, :] + down + across
    inside = np.linalg.norm(points - CENTRE_MM, axis=-1) < RADIUS_MM
    return replace(volume, voxels=np.where(inside, 0, -1000).astype(np.int16))


def _axial() -> Volume:
    return volume_of(np.zeros((40, 80, 90), np.int16), (2.0, 0.9, 0.8))


def _coronal() -> Volume:
    volume = _axial()
    return replace(
        volume,
        positions_mm=np.array([[-32.0, -40.0 + 2 * index, 35.0] for index in range(40)]),
        column_direction=np.array([0.0, 0.0, -1.0]),
    )


def _tilted() -> Volume:
    volume = _axial()
    return replace(volume, positions_mm=volume.positions_mm + np.outer(np.arange(40) - 20, [0, 0.4, 0]))


@pytest.mark.parametrize("stack", [_axial, _coronal, _tilted])
def test_a_patch_is_centred_on_its_point_and_comes_back_to_the_source(stack: Callable[[], Volume]) -> None:
    volume = _with_ball(stack())
    grid = patch_grid(CENTRE_MM, 1.0, 32)
    hu = patch_of(volume, grid).numpy()
    found = np.argwhere(hu > -500)
    assert found.mean(axis=0) == pytest.approx([15.5] * 3, abs=0.6)
    assert len(found) == pytest.approx(4 / 3 * np.pi * RADIUS_MM**3, rel=0.12)
    back = mask_on_source(volume, grid, (hu + 500) / 500)
    truth = volume.voxels == 0
    assert 2 * np.count_nonzero(back & truth) / (np.count_nonzero(back) + np.count_nonzero(truth)) > 0.9


def test_a_field_comes_with_the_box_it_belongs_to() -> None:
    volume = _with_ball(_axial())
    grid = patch_grid(CENTRE_MM, 1.0, 24)
    box, values = field_on_source(volume, grid, np.ones((24, 24, 24), np.float32), 0.0)
    assert values.shape == volume.voxels[box].shape
    assert values[volume.voxels[box] == 0].min() == 1
    assert values.min() == 0


@pytest.mark.parametrize("point", [(500.0, 0.0, 0.0), (0.0, -500.0, 0.0), (0.0, 0.0, 500.0)])
def test_a_point_beyond_the_volume_gives_air(point: tuple[float, float, float]) -> None:
    volume = _with_ball(_axial())
    part = cut(volume, np.array(point), 10.0)
    assert min(part.volume.voxels.shape) >= 1
    assert patch_of(volume, patch_grid(np.array(point), 1.0, 16)).max() < -900
