"""Tumours that grow through a synthetic brain: faster along white matter than through grey, never through fluid."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its own documentation's name
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from training.phantoms.fields import Draw, Grid
from training.phantoms.head_anatomy import Anatomy

_NEVER = 1e6


@dataclass(frozen=True)
class Tumour:
    """One focus; every mask [slice, row, column].

    Attributes:
        whole: all that is to be outlined: oedema or infiltration, core and necrosis.
        core: the solid part, necrosis included.
        necrosis: within the core.
        enhancing: what takes up contrast agent.
        depth: 0 at the border of `whole` to 1 where it began.
    """

    whole: Bool[Tensor, "slices rows columns"]
    core: Bool[Tensor, "slices rows columns"]
    necrosis: Bool[Tensor, "slices rows columns"]
    enhancing: Bool[Tensor, "slices rows columns"]
    depth: Float32[Tensor, "slices rows columns"]


def grow(anatomy: Anatomy, grid: Grid, seed: tuple[int, int, int], volume_ml: float, draw: Draw) -> Tumour:
    """A tumour of about the volume that began at the seed voxel."""
    radius_mm = (volume_ml * 1000 * 0.75 / math.pi) ** (1 / 3)
    box = grid.box(seed, 2.4 * radius_mm + 8)
    start = tuple(index - part.start for index, part in zip(seed, box, strict=True))
    tissue = (anatomy.brain & (anatomy.fluid < 0.5))[box]
    voxels = volume_ml * 1000 / math.prod(grid.spacing_mm)
    rough = _rough(grid, draw, radius_mm)[box]
    speed = (anatomy.white[box] + draw.uniform(0.1, 0.7) * anatomy.grey[box]) * torch.exp(rough * draw.uniform(0.2, 1.0))
    time = _arrival(torch.where(tissue, speed, 0.0), start, grid)
    limit = _limit(time, voxels)
    core_share = draw.uniform(0.03, 0.35) if draw.chance(0.75) else draw.uniform(0.35, 1.0)
    heart = _heart(time, voxels * (1 - core_share) * draw.uniform(0.02, 0.7), draw)
    compact = _arrival(torch.where(tissue, torch.exp(rough.flip(0) * draw.uniform(0.1, 0.6)), 0.0), heart, grid)
    core = compact < _limit(compact, voxels * core_share)
    whole = (time < limit) | core
    dead = _limit(compact, voxels * core_share * draw.uniform(0.1, 0.75))
    necrosis = core & (compact * torch.exp(0.25 * rough) < (dead if draw.chance(0.55) else -1.0))
    depth = torch.where(whole, (1 - time / limit).clamp(0, 1), 0.0)
    enhancing = _enhancing(core, necrosis, rough, draw)
    return Tumour(*(_placed(part, box, grid) for part in (whole, core, necrosis, enhancing, depth)))


def _heart(time: Float32[Tensor, "slices rows columns"], voxels: float, draw: Draw) -> tuple[int, ...]:
    """Where the core began: any voxel among those reached first."""
    places = torch.nonzero(time <= _limit(time, voxels))
    return tuple(int(index) for index in places[draw.count(0, len(places) - 1)])


def _rough(grid: Grid, draw: Draw, radius_mm: float) -> Float32[Tensor, "slices rows columns"]:
    coarse, fine = (draw.smooth(grid, cell) for cell in (max(6.0, radius_mm * draw.uniform(0.4, 1.0)), draw.uniform(4, 9)))
    return coarse + draw.uniform(0.1, 0.9) * fine


def _arrival(
    speed: Float32[Tensor, "slices rows columns"], start: tuple[int, ...], grid: Grid
) -> Float32[Tensor, "slices rows columns"]:
    """When a front that begins at the start arrives at each voxel."""
    image: Any = sitk.GetImageFromArray(speed.numpy())
    image.SetSpacing([float(step) for step in reversed(grid.spacing_mm)])
    first = [int(index) for index in reversed(start)]
    time = sitk.FastMarching(image, [first], 1.0, _NEVER)  # type: ignore[no-untyped-call]
    return torch.from_numpy(np.minimum(sitk.GetArrayFromImage(time), _NEVER).astype(np.float32))


def _limit(time: Float32[Tensor, "slices rows columns"], voxels: float) -> float:
    """The time at which that many voxels have been reached."""
    reached = time[time < _NEVER / 2]
    count = max(1, min(int(voxels), reached.numel() - 1))
    return float(reached.kthvalue(count + 1).values) if reached.numel() > 1 else 1.0


def _enhancing(
    core: Bool[Tensor, "slices rows columns"],
    necrosis: Bool[Tensor, "slices rows columns"],
    rough: Float32[Tensor, "slices rows columns"],
    draw: Draw,
) -> Bool[Tensor, "slices rows columns"]:
    """The living rim of the core, the whole core, patches of it, or nothing."""
    kind = draw.uniform(0, 1)
    if kind < 0.35:
        return torch.zeros_like(core)
    living = core & ~necrosis
    return living if kind < 0.7 else living & (rough > draw.uniform(-1.0, 0.8))


def _placed(part: Tensor, box: tuple[slice, slice, slice], grid: Grid) -> Tensor:
    whole = torch.zeros(grid.shape, dtype=part.dtype)
    whole[box] = part
    return whole
