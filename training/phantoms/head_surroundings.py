"""What lies around the brain of a synthetic head: fluid, dura, skull, scalp, eyes, face and neck; or nothing, if stripped."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from training.phantoms.fields import Draw, Grid
from training.phantoms.head_anatomy import Anatomy

Image = Float32[Tensor, "slices rows columns"]


@dataclass(frozen=True)
class Surroundings:
    """Layers outwards from the brain, decided once and painted for each sequence.

    Attributes:
        layer: 0 brain, 1 fluid, 2 dura, 3 bone, 4 marrow, 5 fat, 6 muscle and skin, 7 air, 8 eye, 9 mucosa.
    """

    layer: Tensor


def build(anatomy: Anatomy, grid: Grid, draw: Draw) -> Surroundings:
    """The layers of a head with skull."""
    out = anatomy.brain_mm
    z, y, x = anatomy.place_mm
    fluid_mm = (draw.uniform(0.5, 4) + draw.smooth(grid, 25.0) * 1.2).clamp(min=0.3)
    skull_mm = (draw.uniform(5, 9) + draw.smooth(grid, 30.0) * 1.2).clamp(min=3) + 6 * torch.sigmoid((-z - 30) / 6)
    scalp_mm = (draw.uniform(4, 9) + draw.smooth(grid, 40.0) * 1.5).clamp(min=2)
    texture = draw.smooth(grid, draw.uniform(6, 12))
    layer = torch.full(grid.shape, 7, dtype=torch.uint8)
    below = (z < -25) & (out > fluid_mm + 2)
    face = below & (((x / draw.uniform(58, 72)) ** 2 + ((y + 25) / draw.uniform(75, 95)) ** 2) < 1)
    neck = below & (((x / draw.uniform(48, 62)) ** 2 + ((y - 35) / draw.uniform(45, 60)) ** 2) < 1)
    soft = face | neck | (out < fluid_mm + 1 + skull_mm + scalp_mm)
    layer[soft] = torch.where(texture > draw.uniform(-0.3, 0.7), 5, 6)[soft].to(torch.uint8)
    bony = draw.smooth(grid, draw.uniform(10, 18))
    layer[(face | neck) & (bony > 1.0)] = 3
    cavity = draw.smooth(grid, draw.uniform(10, 20)) - ((x / 30) ** 2 + ((y + 55) / 35) ** 2 + ((z + 45) / 25) ** 2)
    layer[face & (cavity > -0.8)] = 9
    layer[face & (cavity > -0.4)] = 7
    skull = (out < fluid_mm + 1 + skull_mm) & (out >= fluid_mm + 1)
    layer[skull] = 3
    depth = (out - fluid_mm - 1) / skull_mm
    layer[skull & (depth > 0.3) & (depth < 0.7) & (draw.smooth(grid, 15.0) > -0.8)] = 4
    layer[out < fluid_mm + 1] = 2
    layer[out < fluid_mm] = 1
    radius = draw.uniform(11, 13)
    for side in (-1, 1):
        eye = ((x - side * 32) ** 2 + (y + 60) ** 2 + (z + 36) ** 2).sqrt()
        layer[(eye < radius + 4) & (out > 2)] = 5
        layer[eye < radius] = 8
    layer[out < 0] = 0
    return Surroundings(layer)


def paint(around: Surroundings, brain: Image, grid: Grid, draw: Draw, *, contrast_t1: bool) -> Image:
    """The image of the whole head around the image of the brain."""
    levels = _t1_levels(draw) if contrast_t1 else _flair_levels(draw)
    outside = torch.tensor(levels)[around.layer.long()]
    outside = outside * (1 + draw.smooth(grid, draw.uniform(6, 20)) * draw.uniform(0.05, 0.2))
    return torch.where(around.layer == 0, brain, outside)


def _flair_levels(draw: Draw) -> list[float]:
    fat = draw.uniform(0.2, 0.9) if draw.chance(0.35) else draw.uniform(0.9, 2.6)
    return [
        *(0.0, draw.uniform(0.05, 0.4), draw.uniform(0.1, 0.9), draw.uniform(0.02, 0.15), fat * draw.uniform(0.3, 1.0)),
        *(fat, draw.uniform(0.3, 1.0), 0.0, draw.uniform(0.05, 0.5), draw.uniform(0.8, 2.2)),
    ]


def _t1_levels(draw: Draw) -> list[float]:
    fat = draw.uniform(0.3, 0.8) if draw.chance(0.2) else draw.uniform(1.2, 2.4)
    return [
        *(0.0, draw.uniform(0.1, 0.4), draw.uniform(0.3, 2.0), draw.uniform(0.02, 0.15), fat * draw.uniform(0.5, 1.0)),
        *(fat, draw.uniform(0.5, 1.0), 0.0, draw.uniform(0.2, 0.5), draw.uniform(1.0, 2.2)),
    ]
