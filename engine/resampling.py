"""Between a series' own grid and a regular patient-aligned one, for stacks of any orientation, tilt and spacing.

The canonical grid has the orientation "SPL": slice index to the head, row index posterior, column index to the patient's left.
Both ways go over a coarse grid in the source's orientation (pixels binned to about the canonical spacing): binning keeps noise
from aliasing, and the points between the two orientations stay few.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor
from torch.nn import functional

from engine.volume import Volume

CHUNK_POINTS = 2_000_000
"""Points sampled at once; bounds the memory for coordinates."""
SLAB_BYTES = 64_000_000
"""Size of one slab of a field on the source grid."""
_AXES = (2, 1, 0)
"""Canonical index axis to LPS axis: slices run along z, rows along y, columns along x."""


@dataclass(frozen=True)
class CanonicalGrid:
    """A regular grid whose axes are those of the patient.

    Attributes:
        origin_mm: LPS (x, y, z) of the centre of voxel (0, 0, 0).
        spacing_mm: (slice, row, column).
        shape: slices, rows, columns.
    """

    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.spacing_mm)) / 1000


@dataclass(frozen=True)
class _Coarse:
    """The source's grid with pixels and slices binned.

    Attributes:
        bins: (slice, row, column) source voxels per coarse voxel.
        origins_mm: centre of the first coarse pixel of each coarse slice.
        heights_mm: the same along the normal, ascending.
        steps_mm: between coarse rows, between coarse columns.
    """

    bins: tuple[int, int, int]
    shape: tuple[int, int, int]
    origins_mm: Float64[np.ndarray, "slices 3"]
    heights_mm: Float64[np.ndarray, "slices"]
    steps_mm: tuple[float, float]


def canonical_grid(volume: Volume, spacing_mm: tuple[float, float, float]) -> CanonicalGrid:
    """The canonical grid within the box of the volume's voxel centres, less than a voxel short of it and centred in it."""
    corners = _corners(volume)
    low, high = corners.min(axis=0), corners.max(axis=0)
    counts = [int((high[axis] - low[axis]) / step + 1e-6) + 1 for axis, step in zip(_AXES, spacing_mm, strict=True)]
    extent = np.array([(count - 1) * step for count, step in zip(counts, spacing_mm, strict=True)])[list(_AXES)]
    x, y, z = (low + high - extent) / 2
    return CanonicalGrid((float(x), float(y), float(z)), spacing_mm, (counts[0], counts[1], counts[2]))


def to_canonical(volume: Volume, grid: CanonicalGrid, outside: float) -> Float32[Tensor, "slices rows columns"]:
    """The volume's values on the canonical grid, averaged over what a canonical voxel holds; `outside` beyond the source."""
    coarse = _coarse(volume, grid.spacing_mm, bin_slices=True)
    binned = _bin(volume, coarse.bins)
    result = torch.empty(grid.shape)
    rows_per_chunk = max(1, CHUNK_POINTS // (grid.shape[1] * grid.shape[2]))
    for start in range(0, grid.shape[0], rows_per_chunk):
        stop = min(grid.shape[0], start + rows_per_chunk)
        indices = _source_indices(_points(grid, start, stop), volume, coarse)
        result[start:stop] = _sample((binned - outside)[None], indices, beyond="zeros")[0] + outside
    return result


def to_source(
    field: Float[Tensor, "channels slices rows columns"], grid: CanonicalGrid, volume: Volume
) -> Iterator[tuple[slice, Float32[Tensor, "channels slab rows columns"]]]:
    """A field on the canonical grid brought to the source's grid, slab by slab: ranges of source slices and their values.

    Beyond the canonical grid its outermost values hold. The memory is that of one slab, however large the source.
    """
    coarse = _coarse(volume, grid.spacing_mm, bin_slices=False)
    slices, rows, columns = volume.voxels.shape
    bytes_per_slice = 4 * len(field) * rows * columns
    count = max(1, SLAB_BYTES // bytes_per_slice)
    for start in range(0, slices, count):
        stop = min(slices, start + count)
        values = _sample(field.float(), _canonical_indices(volume, coarse, grid, start, stop), beyond="border")
        padded = (coarse.shape[1] * coarse.bins[1], coarse.shape[2] * coarse.bins[2])
        fine = functional.interpolate(values.transpose(0, 1), size=padded, mode="bilinear", align_corners=False)
        yield slice(start, stop), fine[:, :, :rows, :columns].transpose(0, 1)


def _corners(volume: Volume) -> Float64[np.ndarray, "corners 3"]:
    _, rows, columns = volume.voxels.shape
    down = volume.column_direction * volume.pixel_spacing_mm[0] * (rows - 1)
    across = volume.row_direction * volume.pixel_spacing_mm[1] * (columns - 1)
    return np.concatenate([volume.positions_mm + shift for shift in (0 * down, down, across, down + across)])


def _coarse(volume: Volume, spacing_mm: tuple[float, float, float], *, bin_slices: bool) -> _Coarse:
    slices, rows, columns = volume.voxels.shape
    target = min(spacing_mm)
    steps = volume.spacing_mm
    bins = [max(1, round(target / step + 1e-6)) for step in steps]
    bins[0] = min(bins[0], slices) if bin_slices else 1
    shape = tuple(-(-count // size) for count, size in zip((slices, rows, columns), bins, strict=True))
    shift = volume.column_direction * steps[1] * (bins[1] - 1) / 2 + volume.row_direction * steps[2] * (bins[2] - 1) / 2
    groups = [volume.positions_mm[first : first + bins[0]].mean(axis=0) for first in range(0, slices, bins[0])]
    origins = np.array(groups) + shift
    return _Coarse(
        bins=(bins[0], bins[1], bins[2]),
        shape=(shape[0], shape[1], shape[2]),
        origins_mm=origins,
        heights_mm=origins @ volume.normal,
        steps_mm=(steps[1] * bins[1], steps[2] * bins[2]),
    )


def _bin(volume: Volume, bins: tuple[int, int, int]) -> Float32[Tensor, "slices rows columns"]:
    """Mean of each block of voxels; blocks at the far borders repeat the last voxel."""
    planes = []
    for first in range(0, len(volume.voxels), bins[0]):
        block = volume.voxels[first : first + bins[0]]
        total = torch.from_numpy(np.add.reduce(block, axis=0, dtype=np.int32).astype(np.float32) / len(block))
        padding = (0, -total.shape[1] % bins[2], 0, -total.shape[0] % bins[1])
        whole = functional.pad(total[None, None], padding, mode="replicate") if any(padding) else total[None, None]
        planes.append(functional.avg_pool2d(whole, bins[1:])[0, 0])
    return torch.stack(planes)


def _points(grid: CanonicalGrid, start: int, stop: int) -> Float64[np.ndarray, "slices rows columns 3"]:
    """LPS mm of the canonical voxel centres of slices start to stop."""
    points = np.empty((stop - start, grid.shape[1], grid.shape[2], 3))
    z, y, x = (
        grid.origin_mm[axis] + np.arange(count) * step
        for axis, count, step in zip(_AXES, grid.shape, grid.spacing_mm, strict=True)
    )
    points[..., 0], points[..., 1], points[..., 2] = x, y[:, None], z[start:stop, None, None]
    return points


def _source_indices(points: Float64[np.ndarray, "*grid 3"], volume: Volume, coarse: _Coarse) -> Float64[np.ndarray, "*grid 3"]:
    """Continuous coarse (slice, row, column) of points; between slices the origin moves in a straight line (tilt)."""
    heights = points @ volume.normal
    number = np.arange(len(coarse.heights_mm), dtype=float)
    slices = np.interp(heights, coarse.heights_mm, number)
    step = volume.spacing_mm[0] * coarse.bins[0]
    below, above = heights - coarse.heights_mm[0], heights - coarse.heights_mm[-1]
    slices = slices + np.minimum(below, 0) / step + np.maximum(above, 0) / step
    origins = np.stack([np.interp(heights, coarse.heights_mm, coarse.origins_mm[:, axis]) for axis in range(3)], axis=-1)
    offset = points - origins
    rows = offset @ volume.column_direction / coarse.steps_mm[0]
    columns = offset @ volume.row_direction / coarse.steps_mm[1]
    return np.stack([slices, rows, columns], axis=-1)


def _canonical_indices(
    volume: Volume, coarse: _Coarse, grid: CanonicalGrid, start: int, stop: int
) -> Float64[np.ndarray, "slices rows columns 3"]:
    """Continuous canonical (slice, row, column) of the coarse pixels of source slices start to stop."""
    down = np.arange(coarse.shape[1])[:, None, None] * coarse.steps_mm[0] * volume.column_direction
    across = np.arange(coarse.shape[2])[:, None] * coarse.steps_mm[1] * volume.row_direction
    points = coarse.origins_mm[start:stop, None, None, :] + down + across
    return np.asarray((points[..., _AXES] - np.array(grid.origin_mm)[list(_AXES)]) / np.array(grid.spacing_mm))


def _sample(
    values: Float32[Tensor, "channels slices rows columns"], indices: Float64[np.ndarray, "a b c 3"], *, beyond: str
) -> Float32[Tensor, "channels a b c"]:
    """Trilinear interpolation at continuous indices; beyond the values "zeros" or the "border"."""
    counts = np.array(values.shape[1:])
    unit = (indices * 2 + 1) / counts - 1
    where = torch.from_numpy(unit[..., ::-1].astype(np.float32))
    return functional.grid_sample(values[None], where[None], mode="bilinear", padding_mode=beyond, align_corners=False)[0]
