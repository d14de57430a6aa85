"""What an MR scanner does to a head: coil shading, blur, thick slices, noise, ghosts, uneven scaling, missing slices."""

import math

import torch
from jaxtyping import Float32
from torch import Tensor

from training.phantoms.fields import Draw, Grid, blur

Image = Float32[Tensor, "slices rows columns"]
WHITE_MATTER = 400.0
"""Value of white matter in the image before its scale is drawn."""


def scan(tissue: Image, grid: Grid, draw: Draw) -> Image:
    """The image of one series, not below zero; white matter is somewhere around WHITE_MATTER."""
    image = tissue * _shading(grid, draw)
    in_plane_mm = draw.uniform(0.3, 1.6)
    image = blur(image, [in_plane_mm / step for step in grid.spacing_mm])
    if draw.chance(0.15):
        image = _ghosts(image, draw)
    noise = draw.uniform(0.005, 0.03) if draw.chance(0.6) else draw.uniform(0.03, 0.09)
    image = _slices(image, noise, grid, draw)
    return (image.clamp(min=0) ** draw.uniform(0.85, 1.2)) * WHITE_MATTER


def _shading(grid: Grid, draw: Draw) -> Image:
    """Sensitivity of the coils: slow changes over the head."""
    return torch.exp(draw.smooth(grid, draw.uniform(70, 140)) * draw.uniform(0, 0.16))


def _ghosts(image: Image, draw: Draw) -> Image:
    """Faint shifted copies along the phase direction, from motion and pulsation."""
    axis = draw.count(1, 2)
    shift = draw.count(8, image.shape[axis] // 2)
    share = draw.uniform(0.01, 0.06)
    return image + share * (torch.roll(image, shift, axis) + torch.roll(image, -shift, axis))


def _slices(image: Image, noise: float, grid: Grid, draw: Draw) -> Image:
    """Rician noise, in slices as thick as chance makes them along any axis, interpolated back to the grid."""
    if draw.chance(0.4):
        return _rician(image, noise, draw)
    axis = 0 if draw.chance(0.7) else draw.count(1, 2)
    step, count = grid.spacing_mm[axis], image.shape[axis]
    thickness_mm = draw.uniform(1.2 * step, 7.0)
    average, back = _slice_matrices(count, step, thickness_mm, draw.uniform(0.7, 1.0), draw.uniform(0, 1))
    moved = image.movedim(axis, 0)
    thick = _rician(torch.tensordot(average, moved, dims=1), noise, draw)
    whole: Image = torch.tensordot(back, thick, dims=1)
    return whole.movedim(0, axis).contiguous()


def _slice_matrices(count: int, step_mm: float, thickness_mm: float, filled: float, phase: float) -> tuple[Tensor, Tensor]:
    """Averaging [slices, voxels] over the filled part of each slice, and linear interpolation [voxels, slices] back."""
    span = count * step_mm
    slices = max(2, math.ceil(span / thickness_mm) + 1)
    centres = (torch.arange(slices) + phase - 0.5) * thickness_mm
    places = (torch.arange(count) + 0.5) * step_mm
    distance = (places[None] - centres[:, None]).abs()
    average = torch.sigmoid((filled * thickness_mm / 2 - distance) / (0.25 * step_mm))
    average = average + 1e-6 * torch.exp(-distance / step_mm)
    average = average / average.sum(1, keepdim=True)
    back = (1 - (places[:, None] - centres[None]).abs() / thickness_mm).clamp(min=0)
    return average, back / back.sum(1, keepdim=True).clamp(min=1e-6)


def _rician(image: Image, noise: float, draw: Draw) -> Image:
    real = image + noise * draw.white(image.shape)
    return torch.sqrt(real**2 + (noise * draw.white(image.shape)) ** 2)
