"""Seeded building blocks of a phantom: a grid in scanner millimetres, random numbers, smooth noise, blur."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

BSPLINE_SHARPNESS = 0.479
"""Mean sum of squared cubic B-spline weights along one axis: what smoothing leaves of white noise's variance."""


@dataclass(frozen=True)
class Grid:
    """A regular grid centred on the scanner's origin; index order (slice, row, column), axes LPS (slice index to the head)."""

    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]

    @cached_property
    def axes_mm(self) -> tuple[Tensor, Tensor, Tensor]:
        """z, y and x of the voxel centres, each shaped to broadcast over the grid."""
        lines = [
            (torch.arange(count) - (count - 1) / 2) * step for count, step in zip(self.shape, self.spacing_mm, strict=True)
        ]
        return lines[0].view(-1, 1, 1), lines[1].view(1, -1, 1), lines[2].view(1, 1, -1)

    def box(self, centre: Sequence[int], radius_mm: float) -> tuple[slice, slice, slice]:
        """Index ranges around a voxel that hold a ball of the radius."""
        low, high = [], []
        for index, count, step in zip(centre, self.shape, self.spacing_mm, strict=True):
            reach = math.ceil(radius_mm / step)
            low.append(max(0, index - reach))
            high.append(min(count, index + reach + 1))
        return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


class Draw:
    """The random choices of one phantom: one generator, so that the seed decides everything."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self._generator))

    def chance(self, probability: float) -> bool:
        return self.uniform(0, 1) < probability

    def count(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(self.uniform(0, high - low + 1 - 1e-6))

    def white(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=self._generator)

    def smooth(self, grid: Grid, cell_mm: float | tuple[float, float, float]) -> Tensor:
        """Smooth noise of unit deviation: cubic B-splines on a random lattice of the given cell."""
        cells = cell_mm if isinstance(cell_mm, tuple) else (cell_mm,) * 3
        bases = [_spline_basis(count, step, cell) for count, step, cell in zip(grid.shape, grid.spacing_mm, cells, strict=True)]
        lattice = self.white([basis.shape[1] for basis in bases]) / BSPLINE_SHARPNESS**1.5
        planes = torch.einsum("ij,jkl->ikl", bases[0], lattice)
        return torch.matmul(torch.matmul(bases[1], planes), bases[2].T)


def _spline_basis(count: int, step_mm: float, cell_mm: float) -> Tensor:
    """Weights [voxel, lattice point] of uniform cubic B-splines."""
    place = torch.arange(count) * (step_mm / cell_mm)
    knots = torch.arange(math.ceil(float(place[-1])) + 4) - 1.0
    distance = (place[:, None] - knots[None]).abs()
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, inner, outer)


def blur(values: Tensor, sigma_voxels: Sequence[float]) -> Tensor:
    """Separable Gaussian over (slice, row, column); axes with a sigma under 0.3 voxels stay as they are."""
    for axis, sigma in enumerate(sigma_voxels):
        if sigma >= 0.3:
            values = _blur_axis(values, sigma, axis)
    return values


def _blur_axis(values: Tensor, sigma: float, axis: int) -> Tensor:
    reach = math.ceil(2.5 * sigma)
    offsets = range(-reach, reach + 1)
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in offsets]
    count = values.shape[axis]
    result = torch.zeros_like(values)
    for offset, weight in zip(offsets, weights, strict=True):
        share = weight / sum(weights)
        beyond = min(abs(offset), count)
        edge = values.narrow(axis, 0 if offset < 0 else count - 1, 1)
        result.narrow(axis, 0 if offset < 0 else count - beyond, beyond).add_(edge, alpha=share)
        inner = values.narrow(axis, max(0, min(offset, count)), count - beyond)
        result.narrow(axis, beyond if offset < 0 else 0, count - beyond).add_(inner, alpha=share)
    return result
