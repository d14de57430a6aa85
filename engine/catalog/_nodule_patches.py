"""Small patient-aligned patches around a point of a series, and masks brought back from them to the series' own grid."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage
from torch import Tensor

from engine.resampling import CanonicalGrid, to_canonical
from engine.volume import Volume

AIR_HU = -1024.0
Point = Float64[np.ndarray, "3"]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Part:
    """A box cut out of a volume.

    Attributes:
        box: ranges of source slices, rows and columns.
    """

    volume: Volume
    box: Box


def cut(volume: Volume, centre_mm: Point, reach_mm: float) -> Part:
    """The part of a volume that holds a ball; the nearest voxels where the ball lies beyond it."""
    heights = volume.along_normal_mm
    height = float(centre_mm @ volume.normal)
    step = volume.spacing_mm[0]
    first, last = np.searchsorted(heights, [height - reach_mm - step, height + reach_mm + step])
    origin = volume.positions_mm[int(np.abs(heights - height).argmin())]
    ranges = [_range(int(first), int(last), len(heights))]
    for axis, way in enumerate((volume.column_direction, volume.row_direction)):
        spacing = volume.pixel_spacing_mm[axis]
        middle = float((centre_mm - origin) @ way) / spacing
        reach = reach_mm / spacing + 1
        ranges.append(_range(int(middle - reach), int(middle + reach) + 2, volume.voxels.shape[axis + 1]))
    return part_of(volume, (ranges[0], ranges[1], ranges[2]))


def part_of(volume: Volume, box: Box) -> Part:
    """The volume within a box of source indices."""
    rows_mm, columns_mm = volume.pixel_spacing_mm
    shift = volume.column_direction * rows_mm * box[1].start + volume.row_direction * columns_mm * box[2].start
    return Part(
        replace(
            volume,
            voxels=volume.voxels[box],
            positions_mm=volume.positions_mm[box[0]] + shift,
            slices=volume.slices[box[0]],
            padded=None,
        ),
        box,
    )


def _range(first: int, last: int, count: int) -> slice:
    low = min(max(0, first), count - 1)
    return slice(low, max(low + 1, min(count, last)))


def patch_grid(centre_mm: Point, step_mm: float, size: int) -> CanonicalGrid:
    """The cubic grid centred on a point."""
    half = step_mm * (size - 1) / 2
    x, y, z = (float(value) - half for value in centre_mm)
    return CanonicalGrid((x, y, z), (step_mm,) * 3, (size,) * 3)


def patch_of(volume: Volume, grid: CanonicalGrid) -> Float32[Tensor, "slices rows columns"]:
    """HU on the grid of a patch; air beyond the volume."""
    centre = _centre_mm(grid)
    reach = float(np.linalg.norm(np.array(grid.spacing_mm) * grid.shape)) / 2
    return to_canonical(cut(volume, centre, reach).volume, grid, AIR_HU)


def _centre_mm(grid: CanonicalGrid) -> Point:
    halves = [step * (count - 1) / 2 for step, count in zip(grid.spacing_mm, grid.shape, strict=True)]
    return np.asarray(np.array(grid.origin_mm) + np.array(halves[::-1]))


def field_on_source(
    volume: Volume, grid: CanonicalGrid, field: Float32[np.ndarray, "slices rows columns"], outside: float
) -> tuple[Box, Float32[np.ndarray, "slices rows columns"]]:
    """A field on a patch, brought to the source voxels around it; the box of source indices and its values."""
    reach = float(max(step * count for step, count in zip(grid.spacing_mm, grid.shape, strict=True))) / 2
    part = cut(volume, _centre_mm(grid), reach)
    index = (_points(part.volume)[..., ::-1] - np.array(grid.origin_mm)[::-1]) / np.array(grid.spacing_mm)
    values = ndimage.map_coordinates(field, np.moveaxis(index, -1, 0), order=1, mode="constant", cval=outside)
    return part.box, values.astype(np.float32)


def mask_on_source(
    volume: Volume, grid: CanonicalGrid, level: Float32[np.ndarray, "slices rows columns"]
) -> Bool[np.ndarray, "slices rows columns"]:
    """Where a field on a patch is above zero, on the source grid; beyond the patch nowhere."""
    box, values = field_on_source(volume, grid, level, -1.0)
    mask = np.zeros(volume.voxels.shape, bool)
    mask[box] = values > 0
    return mask


def _points(volume: Volume) -> Float64[np.ndarray, "slices rows columns 3"]:
    """LPS mm of every voxel centre."""
    _, rows, columns = volume.voxels.shape
    down = np.arange(rows)[:, None, None] * volume.pixel_spacing_mm[0] * volume.column_direction
    across = np.arange(columns)[:, None] * volume.pixel_spacing_mm[1] * volume.row_direction
    return np.asarray(volume.positions_mm[:, None, None, :] + down + across)
