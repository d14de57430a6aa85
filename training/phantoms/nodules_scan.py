"""What scanner and reconstruction do to a patch: thick slices, kernel, noise, motion."""

import torch
from torch import Tensor
from torch.nn import functional

from training.phantoms.fields import Draw, Grid, blur


def scan(object_hu: Tensor, grid: Grid, draw: Draw) -> Tensor:
    """The image of an object on its grid, int16 HU; slices run along one of the axes, most often the first."""
    axis = 0 if draw.chance(0.8) else draw.count(1, 2)
    image = object_hu.movedim(axis, 0).clone()
    step = grid.spacing_mm[axis]
    if draw.chance(0.06):
        image = 0.5 * image + 0.5 * torch.roll(image, draw.count(1, 3), 1)
    in_plane = draw.uniform(0.25, 0.75)
    image = blur(image, (0, in_plane / grid.spacing_mm[1], in_plane / grid.spacing_mm[2]))
    if draw.chance(0.3):
        sharp = blur(image, (0, 1.0 / grid.spacing_mm[1], 1.0 / grid.spacing_mm[2]))
        image = image + draw.uniform(0.1, 0.7) * (image - sharp)
    thickness = draw.uniform(0.6, 1.5) if draw.chance(0.55) else draw.uniform(1.5, 3.2)
    spacing = thickness * draw.uniform(0.5, 1.05)
    image = blur(image, (0.4 * thickness / step, 0, 0))
    image = _resliced(image, max(1.0, spacing / step), draw)
    image = image * draw.uniform(0.985, 1.015) + draw.uniform(-15, 15)
    return image.movedim(0, axis).clamp(-1024, 3071).round().to(torch.int16).contiguous()


def _resliced(image: Tensor, factor: float, draw: Draw) -> Tensor:
    """Sampled at slices some voxels apart, noise added to each, and interpolated back."""
    count, rows, columns = image.shape
    first = draw.uniform(0, 1) * min(factor, 1.5)
    places = torch.arange(first, count, factor)
    low = places.floor().long().clamp(max=count - 1)
    high = (low + 1).clamp(max=count - 1)
    share = (places - low).view(-1, 1, 1)
    slices = image[low] * (1 - share) + image[high] * share
    slices = slices + _noise((len(places), rows, columns), draw)
    back = ((torch.arange(count) - first) / factor).clamp(0, len(places) - 1)
    below = back.floor().long()
    above = (below + 1).clamp(max=len(places) - 1)
    weight = (back - below).view(-1, 1, 1)
    return slices[below] * (1 - weight) + slices[above] * weight


def _noise(shape: tuple[int, int, int], draw: Draw) -> Tensor:
    """Noise of a soft, standard or sharp kernel; deviation in HU, low more often than high."""
    deviation = 4 + 75 * draw.uniform(0, 1) ** 2.5
    noise = draw.white(shape)
    width = draw.uniform(0.35, 1.1)
    noise = blur(noise, (0, width, width))
    if draw.chance(0.35):
        noise = noise - functional.avg_pool3d(noise[None, None], (1, 5, 5), 1, (0, 2, 2))[0, 0]
    return noise.mul_(deviation / float(noise.std()))
