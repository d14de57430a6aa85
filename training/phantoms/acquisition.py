"""What the scanner does to an object: blur, noise of the kernel, streaks, calibration error, field of view."""

import math

import torch
from torch import Tensor

from training.phantoms.fields import Draw, Grid, blur

OUTSIDE_FIELD_OF_VIEW_HU = -2048


def scan(object_hu: Tensor, body: Tensor, grid: Grid, draw: Draw, *, plain: bool) -> Tensor:
    """The image of an object on its grid, int16 HU."""
    image = blur(object_hu, _resolution_voxels(grid, draw, plain=plain))
    image += _noise(grid, draw, plain=plain) * torch.where(body, 1.5, 0.8)
    if draw.chance(0.2) and not plain:
        _add_streaks(image, body, grid, draw)
    if not plain:
        image = image * draw.uniform(0.97, 1.03) + draw.uniform(-25, 25)
    image.clamp_(-1024, 3071)
    if draw.chance(0.4) and not plain:
        _, rows, columns = grid.axes_mm
        radius_mm = draw.uniform(0.34, 0.5) * grid.shape[2] * grid.spacing_mm[2]
        padding = OUTSIDE_FIELD_OF_VIEW_HU if draw.chance(0.5) else -1024
        image.masked_fill_((rows**2 + columns**2 > radius_mm**2).expand(grid.shape), padding)
    return image.round_().to(torch.int16)


def _resolution_voxels(grid: Grid, draw: Draw, *, plain: bool) -> tuple[float, float, float]:
    """Blur of kernel and slice thickness, in voxels."""
    in_plane_mm = 0.55 if plain else draw.uniform(0.3, 1.8)
    slice_mm = 0.7 if plain else draw.uniform(0.3, 2.5)
    return slice_mm / grid.spacing_mm[0], in_plane_mm / grid.spacing_mm[1], in_plane_mm / grid.spacing_mm[2]


def _noise(grid: Grid, draw: Draw, *, plain: bool) -> Tensor:
    """Noise of a soft, standard or sharp kernel; deviation in HU."""
    deviation = draw.uniform(12, 18) if plain else draw.uniform(1.7, 8) ** 2
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
