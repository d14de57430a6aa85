"""Focal lesions of the phantom's liver, and what looks like one: metastases, cysts, enhancing, rimmed and calcified ones."""

import math

import torch
from torch import Tensor

from training.phantoms.abdomen_body import Canvas, squared
from training.phantoms.fields import Draw

SMALLEST_MM, LARGEST_MM = 5.0, 80.0
"""Diameters."""
USUALLY_FROM_MM = 9.0
"""Most are at least as large as what can be told from noise and vessels."""
FAINTEST_HU = 20.0
"""Fainter ones drown in the noise: to learn them is to learn to guess."""
_KINDS = (0, 0, 0, 0, 1, 1, 2, 3, 3, 4)
"""Hypodense, cystic, hyperdense, rimmed, calcified: how often."""


def paint_lesions(canvas: Canvas, liver: Tensor, veins: Tensor, draw: Draw, *, share: float) -> Tensor:
    """Paints lesions into a share of the livers; the mask of all of them."""
    lesions = torch.zeros_like(liver)
    places = (liver & ~veins).nonzero()
    if len(places) < 200 or not draw.chance(share):
        return lesions
    base, usual = float(canvas.hu[liver].median()), _KINDS[draw.count(0, len(_KINDS) - 1)]
    largest = LARGEST_MM if draw.chance(0.3) else draw.uniform(12, 40)
    for _ in range(draw.count(1, 4) if draw.chance(0.7) else draw.count(5, 14)):
        centre = places[int(draw.uniform(0, len(places) - 1e-3))].tolist()
        smallest = SMALLEST_MM if draw.chance(0.25) else USUALLY_FROM_MM
        radius = math.exp(draw.uniform(math.log(smallest / 2), math.log(largest / 2)))
        kind = usual if draw.chance(0.75) else _KINDS[draw.count(0, len(_KINDS) - 1)]
        lesions |= _paint_lesion(canvas, liver, centre, radius, kind, base, draw)
    return lesions


def _paint_lesion(
    canvas: Canvas, liver: Tensor, centre: list[int], radius: float, kind: int, base: float, draw: Draw
) -> Tensor:
    """One lumpy ellipsoid of a kind, a little beyond the liver's face where it lies there."""
    box = canvas.grid.box(centre, radius * 2.2)
    z, y, x = (axis[part] for axis, part in zip(_axes(canvas), _parts(box), strict=True))
    at = [float(axis.reshape(-1)[index]) for axis, index in zip(_axes(canvas), centre, strict=True)]
    stretch = [draw.uniform(0.75, 1.3) for _ in range(3)]
    lumps = draw.smooth(canvas.grid, max(radius, 6.0))[box] * draw.uniform(0.0, 0.3)
    offsets = zip((z, y, x), at, stretch, strict=True)
    distance = squared(*((axis - middle) / (radius * s) for axis, middle, s in offsets)).sqrt() + lumps
    near = liver[box] if draw.chance(0.8) else torch.nn.functional.max_pool3d(liver[box][None].float(), 3, 1, 1)[0] > 0
    mask = (distance < 1) & near
    soft = torch.sigmoid((1 - distance) * radius / draw.uniform(0.4, 2.5))
    inside = canvas.hu[box]
    target = _levels(distance, inside, kind, base, draw)
    canvas.hu[box] = torch.where(near, inside + (target - inside) * soft, inside)
    whole = torch.zeros_like(liver)
    whole[box] = mask
    return whole


def _axes(canvas: Canvas) -> tuple[Tensor, Tensor, Tensor]:
    return canvas.grid.axes_mm


def _parts(box: tuple[slice, slice, slice]) -> tuple[tuple[slice, ...], ...]:
    """The box's range of each axis, for arrays that broadcast."""
    every = slice(None)
    return (box[0], every, every), (every, box[1], every), (every, every, box[2])


def _levels(distance: Tensor, inside: Tensor, kind: int, base: float, draw: Draw) -> Tensor:
    """HU of a hypodense, cystic, hyperdense, rimmed or calcified lesion at each distance from its centre (1 at its edge)."""
    low = base - FAINTEST_HU - draw.uniform(0, 7) ** 2
    if kind == 0:
        core = draw.uniform(0, 35) if draw.chance(0.4) else 0.0
        return torch.where(distance < draw.uniform(0.3, 0.75), low - core, low)
    if kind == 1:
        return torch.full_like(distance, min(draw.uniform(-8, 22), base - FAINTEST_HU))
    if kind == 2:
        return torch.full_like(distance, base + FAINTEST_HU + draw.uniform(2, 80))
    if kind == 3:
        rim = base + draw.uniform(10, 70)
        return torch.where(distance > draw.uniform(0.6, 0.85), rim, low - draw.uniform(0, 20))
    spots = (inside - inside.mean()).abs() > draw.uniform(0, 4)
    return torch.where(spots & (distance < draw.uniform(0.3, 0.9)), draw.uniform(130, 700), low)


def paint_decoys(canvas: Canvas, liver: Tensor, draw: Draw) -> None:
    """Clips, and perfusion that differs a little without being a lesion."""
    if draw.chance(0.1):
        wedge = torch.sigmoid(draw.smooth(canvas.grid, draw.uniform(30, 70)) * 6 - 6)
        canvas.fill(liver, canvas.hu + wedge * draw.uniform(-8, 10))
    if draw.chance(0.06):
        places = liver.nonzero()
        for _ in range(draw.count(1, 3) if len(places) else 0):
            centre = places[int(draw.uniform(0, len(places) - 1e-3))].tolist()
            canvas.hu[canvas.grid.box(centre, draw.uniform(0, 3))] = draw.uniform(500, 3000)
