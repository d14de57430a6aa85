"""Disease of the thorax phantom: what a lung may hold and still be lung, and effusion, which is not lung."""

import torch
from torch import Tensor

from training.phantoms.fields import Draw
from training.phantoms.thorax_organs import Canvas


def paint(canvas: Canvas, draw: Draw, *, plain: bool) -> Tensor:
    """Paints nodules and, unless plain, diffuse disease; the mask of the nodules."""
    nodules = _paint_nodules(canvas, draw, plain=plain)
    if plain:
        return nodules
    if draw.chance(0.5):
        _paint_consolidation(canvas, draw)
    if draw.chance(0.25):
        bullae = draw.smooth(canvas.grid, draw.uniform(6, 15)) > draw.uniform(1.3, 2.2)
        canvas.fill(canvas.lungs & bullae & (canvas.hu < -600), draw.uniform(-995, -940))
    if draw.chance(0.25):
        _paint_effusion(canvas, draw)
    if draw.chance(0.1):
        air = canvas.lungs & (canvas.y < -canvas.build.cavity_depth * draw.uniform(0.35, 0.75))
        canvas.fill(air, -1000.0)
    return nodules


def _paint_nodules(canvas: Canvas, draw: Draw, *, plain: bool) -> Tensor:
    nodules = torch.zeros(canvas.grid.shape, dtype=torch.bool)
    places = canvas.lungs[::2, ::2, ::2].nonzero() * 2
    if len(places) < 100:
        return nodules
    for _ in range(draw.count(2, 4) if plain else draw.count(0, 6)):
        centre = [int(index) for index in places[int(draw.uniform(0, len(places) - 1e-3))]]
        radius = draw.uniform(3, 9) if plain else draw.uniform(2.5, 18)
        _paint_nodule(canvas, nodules, centre, radius, draw)
    return nodules


def _paint_nodule(canvas: Canvas, nodules: Tensor, centre: list[int], radius: float, draw: Draw) -> None:
    grid = canvas.grid
    box = grid.box(centre, radius * 1.6)
    squares = [
        (((torch.arange(part.start, part.stop) - index) * step) / draw.uniform(0.8, 1.25)) ** 2
        for part, index, step in zip(box, centre, grid.spacing_mm, strict=True)
    ]
    distance = squares[0].view(-1, 1, 1) + squares[1].view(1, -1, 1) + squares[2].view(1, 1, -1)
    bumps = torch.cos(squares[0].sqrt().view(-1, 1, 1) * 0.7) * torch.cos((squares[1].view(1, -1, 1) + squares[2]).sqrt() * 0.8)
    nodule = (distance + bumps * radius**2 * 0.2 < radius**2) & canvas.lungs[box]
    canvas.hu[box][nodule] = draw.uniform(-650, 90) if radius > 4 else draw.uniform(-300, 90)
    nodules[box] |= nodule


def _paint_consolidation(canvas: Canvas, draw: Draw) -> None:
    """Patches of consolidation, ground glass or fibrosis, more often at the back."""
    field = draw.smooth(canvas.grid, draw.uniform(20, 50)) * 0.55
    field += canvas.y * (draw.uniform(0, 1.2) / canvas.build.half_depth)
    level = draw.uniform(-150, 60) if draw.chance(0.4) else draw.uniform(-700, -350)
    grain = draw.smooth(canvas.grid, 6) * draw.uniform(5, 80)
    canvas.fill(canvas.lungs & (field > draw.uniform(0.8, 1.8)), grain + level)


def _paint_effusion(canvas: Canvas, draw: Draw) -> None:
    """Fluid at the back and the base of one or both sides; no longer lung."""
    build = canvas.build
    level = draw.uniform(0.3, 0.85) * build.cavity_depth
    fluid = canvas.y > level + (canvas.z - build.base_z) * draw.uniform(0.1, 0.5)
    which = draw.uniform(0, 1)
    if which < 0.7:
        fluid = fluid & (canvas.x < 0 if which < 0.35 else canvas.x > 0)
    canvas.fill(canvas.lungs & fluid, draw.uniform(0, 35))
    canvas.right_lung, canvas.left_lung = canvas.right_lung & ~fluid, canvas.left_lung & ~fluid
