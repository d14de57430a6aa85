"""What the scanner does to an object: blur, noise of the kernel, streaks, calibration error, field of view."""

import math

import torch
from torch import Tensor

from training.phantoms.fields import Draw, Grid, blur

OUTSIDE_FIELD_OF_VIEW_HU = -2048
AIR_HU = -1024


def scan(object_hu: Tensor, body: Tensor, grid: Grid, draw: Draw, *, plain: bool) -> Tensor:
    """The image of an object on its grid, int16 HU."""
    image = blur(object_hu, _resolution_voxels(grid, draw, plain=plain))
    if not plain and draw.chance(0.25):
        image = _thick_slices(image, draw.count(2, 3))
    image += _noise(grid, draw, plain=plain) * torch.where(body, 1.5, 0.8)
    if draw.chance(0.2) and not plain:
        _add_streaks(image, body, grid, draw)
    if not plain:
        image = image * draw.uniform(0.98, 1.02) + draw.uniform(-20, 20)
    image.clamp_(-1024, 3071)
    if not plain:
        _cut_field_of_view(image, grid, draw)
    return image.round_().to(torch.int16)


def beyond_field_of_view(image: Tensor) -> Tensor:
    """Where there is no image."""
    return image < OUTSIDE_FIELD_OF_VIEW_HU + 100


def _cut_field_of_view(image: Tensor, grid: Grid, draw: Draw) -> None:
    """A circle, a box or both hold the image, often so tight that they cut the patient."""
    slices, rows, columns = grid.axes_mm
    half = 0.5 * grid.shape[2] * grid.spacing_mm[2]
    if draw.chance(0.4):
        radius_mm = draw.uniform(0.68, 1.0) * half
        padding = OUTSIDE_FIELD_OF_VIEW_HU if draw.chance(0.5) else AIR_HU
        image.masked_fill_((rows**2 + columns**2 > radius_mm**2).expand(grid.shape), padding)
    if draw.chance(0.35):
        off = draw.uniform(-25, 25), draw.uniform(-25, 25)
        reach = draw.uniform(0.55, 1.0) * half, draw.uniform(0.6, 1.0) * half
        outside = ((rows - off[0]).abs() > reach[0]) | ((columns - off[1]).abs() > reach[1])
        image.masked_fill_(outside.expand(grid.shape), OUTSIDE_FIELD_OF_VIEW_HU)
    if draw.chance(0.2):
        half = 0.5 * grid.shape[0] * grid.spacing_mm[0]
        outside = (slices - draw.uniform(-0.6, 0.6) * half).abs() > draw.uniform(0.25, 0.9) * half
        image.masked_fill_(outside.expand(grid.shape), OUTSIDE_FIELD_OF_VIEW_HU)


def _thick_slices(image: Tensor, factor: int) -> Tensor:
    """What slices thicker than the grid's leave after interpolation."""
    count = len(image)
    means = torch.stack([image[first : first + factor].mean(dim=0) for first in range(0, count, factor)])
    place = (torch.arange(count) - (factor - 1) / 2).clamp(min=0) / factor
    below = place.floor().long().clamp(max=len(means) - 1)
    above = (below + 1).clamp(max=len(means) - 1)
    share = (place - below).clamp(0, 1).view(-1, 1, 1)
    return means[below] * (1 - share) + means[above] * share


def _resolution_voxels(grid: Grid, draw: Draw, *, plain: bool) -> tuple[float, float, float]:
    """Blur of kernel and slice thickness, in voxels."""
    in_plane_mm = 0.55 if plain else draw.uniform(0.3, 1.8)
    slice_mm = 0.7 if plain else draw.uniform(0.3, 2.5)
    return slice_mm / grid.spacing_mm[0], in_plane_mm / grid.spacing_mm[1], in_plane_mm / grid.spacing_mm[2]


def _noise(grid: Grid, draw: Draw, *, plain: bool) -> Tensor:
    """Noise of a soft, standard or sharp kernel; deviation in HU."""
    deviation = draw.uniform(12, 18) if plain else draw.uniform(1.2, 7.5) ** 2
    noise = draw.white(grid.shape)
    width = draw.uniform(0.4, 1.0)
    if draw.chance(0.5) or plain:
        noise = blur(noise, (0, width, width))
    if draw.chance(0.25) and not plain:
        noise = noise - 0.8 * blur(noise, (0, 1.5, 1.5))
    return noise.mul_(deviation / float(noise.std()))


def _add_streaks(image: Tensor, body: Tensor, grid: Grid, draw: Draw) -> None:
    _, rows, columns = grid.axes_mm
    angle = torch.atan2(rows - draw.uniform(-80, 80), columns - draw.uniform(-80, 80))
    image += torch.sin(angle * math.floor(draw.uniform(20, 60))) * draw.uniform(5, 60) * body
