"""Between a series' own grid and a regular patient-aligned one, for stacks of any orientation, tilt and spacing.

The canonical grid has the orientation "SPL": slice index to the head, row index posterior, column index to the patient's left.
Two ways of sampling:

"mean": both ways go over a coarse grid in the source's orientation (pixels binned to about the canonical spacing): binning
keeps noise from aliasing, and the points between the two orientations stay few.
"linear": trilinear between the source's own voxels, as MONAI's Spacing does it.

Where the stack's axes are those of the patient, each axis is interpolated by itself. No volume of floating-point numbers is
ever made at the source's resolution. Everything runs on the device of its result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor
from torch.nn import functional

from engine.interpolation import Taps, interpolate, taps
from engine.volume import Volume

Sampling = Literal["mean", "linear"]
CHUNK_POINTS = 2_000_000
"""Points sampled at once; bounds the memory for coordinates."""
SLAB_BYTES = 16_000_000
"""Size of one slab of a field on the source grid; small enough that the allocator keeps its pages."""
PARALLEL = 1e-5
"""Sine of the angle up to which an axis of the stack counts as one of the patient's: less than 0.01 mm over its length."""
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


def canonical_grid(
    volume: Volume, spacing_mm: tuple[float, float, float], *, anchor: Literal["centre", "corner"] = "centre"
) -> CanonicalGrid:
    """The canonical grid of a volume.

    Args:
        volume: the source.
        spacing_mm: (slice, row, column).
        anchor: "centre": within the box of the volume's voxel centres, less than a voxel short of it and centred in it.
            "corner": as MONAI's Spacing after Orientation to RAS, from the corner at the feet, back and left, to the nearest
            number of voxels.
    """
    corners = _corners(volume)
    low, high = corners.min(axis=0), corners.max(axis=0)
    shorter = 1e-6 if anchor == "centre" else 0.5
    counts = [int((high[axis] - low[axis]) / step + shorter) + 1 for axis, step in zip(_AXES, spacing_mm, strict=True)]
    extent = np.array([(count - 1) * step for count, step in zip(counts, spacing_mm, strict=True)])[list(_AXES)]
    x, y, z = (low + high - extent) / 2 if anchor == "centre" else (*(high - extent)[:2], low[2])
    return CanonicalGrid((float(x), float(y), float(z)), spacing_mm, (counts[0], counts[1], counts[2]))


def to_canonical(
    volume: Volume,
    grid: CanonicalGrid,
    outside: float,
    *,
    sampling: Sampling = "mean",
    device: torch.device | str = "cpu",
) -> Float32[Tensor, "slices rows columns"]:
    """The volume's values on the canonical grid; `outside` beyond the source.

    With "mean" sampling they are averaged over what a canonical voxel holds.
    """
    coarse = _coarse(volume, grid.spacing_mm if sampling == "mean" else volume.spacing_mm, bin_slices=True)
    axes = _parallel_axes(volume)
    if axes is not None:
        return _to_canonical_by_axes(volume, grid, coarse, axes, outside, torch.device(device))
    result = torch.empty(grid.shape, device=device)
    for start, stop in _ranges(grid.shape[0], CHUNK_POINTS // (grid.shape[1] * grid.shape[2])):
        indices = _source_indices(_points(grid, start, stop), volume, coarse)
        first = int(np.clip(np.floor(indices[..., 0].min()), 0, coarse.shape[0] - 1))
        last = int(np.clip(np.ceil(indices[..., 0].max()), first, coarse.shape[0] - 1))
        binned = _bin(volume, coarse.bins, first, last + 1, torch.device(device))
        result[start:stop] = _sample((binned - outside)[None], indices - [first, 0, 0], beyond="zeros")[0] + outside
    return result


def to_source(
    field: Float[Tensor, "channels slices rows columns"],
    grid: CanonicalGrid,
    volume: Volume,
    *,
    sampling: Sampling = "mean",
) -> Iterator[tuple[slice, Float32[Tensor, "channels slab rows columns"]]]:
    """A field on the canonical grid brought to the source's grid, slab by slab: ranges of source slices and their values.

    Beyond the canonical grid its outermost values hold. The memory is that of one slab, however large the source.
    """
    box = (slice(0, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
    for (part, _, _), values in box_to_source(field, grid, volume, box, sampling=sampling):
        yield part, values


def box_to_source(
    field: Float[Tensor, "channels slices rows columns"],
    grid: CanonicalGrid,
    volume: Volume,
    box: tuple[slice, slice, slice],
    *,
    sampling: Sampling = "mean",
) -> Iterator[tuple[tuple[slice, slice, slice], Float32[Tensor, "channels slab fewer narrower"]]]:
    """As to_source, for those source voxels that a box of the canonical grid has a part in; all of an oblique stack.

    Yields ranges of source slices, rows and columns, and their values.
    """
    coarse = _coarse(volume, grid.spacing_mm if sampling == "mean" else volume.spacing_mm, bin_slices=False)
    axes = _parallel_axes(volume)
    down, across = coarse.bins[1:]
    _, rows, columns = volume.voxels.shape
    if axes is None:
        lines, ranges = None, tuple(slice(0, count) for count in coarse.shape)
    else:
        lines, ranges = _lines_within(volume, coarse, grid, axes, box, field.device)
    extent = [part.stop - part.start for part in ranges]
    where = (
        slice(ranges[1].start * down, min(rows, ranges[1].stop * down)),
        slice(ranges[2].start * across, min(columns, ranges[2].stop * across)),
    )
    size = SLAB_BYTES // max(1, 4 * len(field) * extent[1] * down * extent[2] * across)
    for first, stop in _ranges(extent[0], size):
        start, end = ranges[0].start + first, ranges[0].start + stop
        if axes is not None and lines is not None:
            values = _slab_by_axes(field, axes, lines, slice(first, stop))
        else:
            values = _sample(field.float(), _canonical_indices(volume, coarse, grid, start, end), beyond="border")
        if (down, across) != (1, 1):
            fine = (extent[1] * down, extent[2] * across)
            values = functional.interpolate(values.transpose(0, 1), fine, mode="bilinear", align_corners=False).transpose(0, 1)
        height, width = (part.stop - part.start for part in where)
        yield (slice(start, end), *where), values[:, :, :height, :width]


def _ranges(count: int, size: int) -> Iterator[tuple[int, int]]:
    """0 to count in pieces of the size, of one at least."""
    size = max(1, size)
    return ((start, min(count, start + size)) for start in range(0, count, size))


def _parallel_axes(volume: Volume) -> tuple[int, int, int] | None:
    """The canonical axis along which each axis of the stack runs; None if it is oblique or sheared."""
    directions = np.stack([volume.normal, volume.column_direction, volume.row_direction])
    main = np.abs(directions).argmax(axis=1)
    rest = np.abs(directions)
    rest[np.arange(3), main] = 0
    across = volume.positions_mm - volume.along_normal_mm[:, None] * volume.normal
    if rest.max() > PARALLEL or np.ptp(across, axis=0).max() > 1e-3:
        return None
    slices, rows, columns = (2 - int(axis) for axis in main)
    return slices, rows, columns


def _to_canonical_by_axes(
    volume: Volume, grid: CanonicalGrid, coarse: _Coarse, axes: tuple[int, int, int], outside: float, device: torch.device
) -> Float32[Tensor, "slices rows columns"]:
    slices, rows, columns = (_source_indices(_line(grid, axis), volume, coarse)[:, index] for index, axis in enumerate(axes))
    where = np.stack(np.broadcast_arrays(rows[:, None], columns), axis=-1)
    planes = torch.empty((coarse.shape[0], len(rows), len(columns)), device=device)
    for first, stop in _ranges(coarse.shape[0], SLAB_BYTES // (4 * coarse.shape[1] * coarse.shape[2])):
        block = _bin(volume, coarse.bins, first, stop, device).sub_(outside)
        planes[first:stop] = _sample_planes(block, where)
    line = taps(slices, coarse.shape[0], "zeros", device)
    values = torch.empty((len(slices), len(rows), len(columns)), device=device)
    for first, stop in _ranges(len(values), SLAB_BYTES // (4 * planes[0].numel())):
        values[first:stop] = interpolate(planes, 0, line.of(slice(first, stop)))
    return values.add_(outside).permute(*(axes.index(axis) for axis in range(3))).contiguous()


def _slab_by_axes(
    field: Float[Tensor, "channels slices rows columns"],
    axes: tuple[int, int, int],
    lines: tuple[Taps, Taps, Taps],
    part: slice,
) -> Float32[Tensor, "channels slab rows columns"]:
    turned = field.permute(0, *(axis + 1 for axis in axes))
    values = interpolate(turned, 1, lines[0].of(part)).float()
    return interpolate(interpolate(values, 3, lines[2]), 2, lines[1])


def _lines_within(
    volume: Volume,
    coarse: _Coarse,
    grid: CanonicalGrid,
    axes: tuple[int, int, int],
    box: tuple[slice, slice, slice],
    device: torch.device,
) -> tuple[tuple[Taps, Taps, Taps], tuple[slice, ...]]:
    """For each axis of the coarse grid the range that the box has a part in, and where its pixels lie along their axis."""
    down = np.arange(coarse.shape[1])[:, None] * coarse.steps_mm[0] * volume.column_direction
    across = np.arange(coarse.shape[2])[:, None] * coarse.steps_mm[1] * volume.row_direction
    points = (coarse.origins_mm, coarse.origins_mm[0] + down, coarse.origins_mm[0] + across)
    lines, ranges = [], []
    for line, axis in zip(points, axes, strict=True):
        index = (line[:, 2 - axis] - grid.origin_mm[2 - axis]) / grid.spacing_mm[axis]
        clipped = np.clip(index, 0, grid.shape[axis] - 1)
        touched = np.flatnonzero((clipped > box[axis].start - 1) & (clipped < box[axis].stop))
        first, last = (int(touched[0]), int(touched[-1])) if len(touched) else (0, 0)
        part = slice(max(0, first - 1), min(len(index), last + 2))
        ranges.append(part)
        lines.append(taps(index[part], grid.shape[axis], "border", device))
    return (lines[0], lines[1], lines[2]), tuple(ranges)


def _line(grid: CanonicalGrid, axis: int) -> Float64[np.ndarray, "points 3"]:
    """LPS mm of the voxels of one canonical axis, from the grid's first voxel on."""
    points = np.tile(np.array(grid.origin_mm), (grid.shape[axis], 1))
    points[:, 2 - axis] += np.arange(grid.shape[axis]) * grid.spacing_mm[axis]
    return points


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


def _bin(
    volume: Volume, bins: tuple[int, int, int], first: int, stop: int, device: torch.device
) -> Float32[Tensor, "slices rows columns"]:
    """Mean of each block of voxels, for coarse slices first to stop; blocks at the far borders repeat the last voxel."""
    if bins == (1, 1, 1):
        return torch.from_numpy(volume.voxels[first:stop]).to(device).float()
    planes = []
    for index in range(first, stop):
        block = torch.from_numpy(volume.voxels[index * bins[0] : (index + 1) * bins[0]]).to(device)
        total = block.float() if len(block) == 1 else block.sum(0, keepdim=True, dtype=torch.float32).div_(len(block))
        padding = (0, -total.shape[2] % bins[2], 0, -total.shape[1] % bins[1])
        whole = functional.pad(total[None], padding, mode="replicate")[0] if any(padding) else total
        planes.append(_mean_of_pixels(whole, bins[1], bins[2]))
    return torch.cat(planes)


def _mean_of_pixels(plane: Float32[Tensor, "1 rows columns"], down: int, across: int) -> Float32[Tensor, "1 fewer narrower"]:
    if (down, across) == (1, 1):
        return plane
    parts = [plane[:, row::down, column::across] for row in range(down) for column in range(across)]
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total.div_(len(parts))


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


def _sample_planes(
    planes: Float32[Tensor, "slices rows columns"], indices: Float64[np.ndarray, "a b 2"]
) -> Float32[Tensor, "slices a b"]:
    """Bilinear interpolation of all planes at the same continuous indices; beyond them zeros."""
    unit = (indices * 2 + 1) / np.array(planes.shape[1:]) - 1
    where = torch.from_numpy(unit[..., ::-1].astype(np.float32)).to(planes.device)
    return functional.grid_sample(planes[None], where[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def _sample(
    values: Float32[Tensor, "channels slices rows columns"], indices: Float64[np.ndarray, "a b c 3"], *, beyond: str
) -> Float32[Tensor, "channels a b c"]:
    """Trilinear interpolation at continuous indices; beyond the values "zeros" or the "border"."""
    counts = np.array(values.shape[1:])
    unit = (indices * 2 + 1) / counts - 1
    where = torch.from_numpy(unit[..., ::-1].astype(np.float32)).to(values.device)
    return functional.grid_sample(values[None], where[None], mode="bilinear", padding_mode=beyond, align_corners=False)[0]
