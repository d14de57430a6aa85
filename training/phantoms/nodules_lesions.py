"""Nodules of the lung patch: what kinds there are, how large, and how each is painted."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from training.phantoms.fields import Draw, Grid

KINDS = ("solid", "part-solid", "ground-glass", "calcified", "fat")
_KIND_SHARES = (0.62, 0.13, 0.13, 0.09, 0.03)
_SMALLEST_MM, _LARGEST_MM = 3.0, 30.0


@dataclass(frozen=True, slots=True)
class NoduleTruth:
    """What a synthetic nodule is.

    Attributes:
        kind: one of KINDS.
        diameter_mm: of the ball of about its volume.
        spiculation: 0 smooth to 1 a corona of spicules.
        lobulation: 0 round to 1 deeply lobulated.
        malignant: probability, of a real nodule that readers rated; None where the published relation says it.
    """

    kind: str
    diameter_mm: float
    spiculation: float
    lobulation: float
    malignant: float | None = None


def draw_truth(draw: Draw) -> NoduleTruth:
    """A nodule as screening meets them: mostly small and solid; large ones are spiculated more often."""
    diameter = math.exp(draw.uniform(math.log(_SMALLEST_MM), math.log(_LARGEST_MM)))
    pick, kind = draw.uniform(0, 1), KINDS[0]
    for name, share in zip(KINDS, _KIND_SHARES, strict=True):
        kind = name
        pick -= share
        if pick < 0:
            break
    rough = kind not in ("calcified", "fat") and draw.chance(0.08 + 0.45 * min(1.0, diameter / 25))
    return NoduleTruth(
        kind=kind,
        diameter_mm=max(diameter, 5.0) if kind in ("part-solid", "ground-glass") else diameter,
        spiculation=draw.uniform(0.35, 1.0) if rough else draw.uniform(0.0, 0.1),
        lobulation=draw.uniform(0.0, 1.0) ** 2,
    )


def paint_nodule(
    hu: Tensor, lung: Tensor, grid: Grid, centre: tuple[int, int, int], truth: NoduleTruth, draw: Draw
) -> tuple[tuple[slice, slice, slice], Tensor]:
    """Paint a nodule into the lung; the box around it and which of its voxels are nodule."""
    radius = truth.diameter_mm / 2
    box = grid.box(centre, radius * 2.4 + 5)
    points = _offsets(grid, box, centre)
    part = Grid(grid.spacing_mm, (points[0].shape[0], points[1].shape[1], points[2].shape[2]))
    depth = radius - _distance(points, part, truth, draw)
    softness = draw.uniform(0.7, 1.6) * max(grid.spacing_mm) * (2.0 if truth.kind == "ground-glass" else 1.0)
    cover = (depth / softness + 0.5).clamp(0, 1)
    inside = _attenuation(depth, radius, part, truth, draw)
    before = hu[box]
    allowed = lung[box]
    if truth.kind in ("ground-glass", "part-solid"):
        inside = torch.maximum(inside, before)
    painted = before + cover * (inside - before)
    if truth.spiculation > 0.2:
        spicules = _spicules(points, radius, max(grid.spacing_mm), truth, draw)
        painted = torch.maximum(painted, before + spicules * (inside.clamp(max=40) - before))
    hu[box] = torch.where(allowed, painted, before)
    return box, (depth > 0) & allowed


def _offsets(grid: Grid, box: tuple[slice, slice, slice], centre: tuple[int, int, int]) -> list[Tensor]:
    """Millimetres from the centre along each axis, shaped to broadcast."""
    shapes = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
    return [
        ((torch.arange(part.start, part.stop) - index) * step).view(shape)
        for part, index, step, shape in zip(box, centre, grid.spacing_mm, shapes, strict=True)
    ]


def _distance(points: list[Tensor], part: Grid, truth: NoduleTruth, draw: Draw) -> Float32[Tensor, "slices rows columns"]:
    """Distance from the centre in mm of a ball, after a turned ellipsoid, lobes and roughness."""
    axes = [draw.uniform(0.78, 1.28) for _ in range(3)]
    scale = math.prod(axes) ** (1 / 3)
    turn = torch.linalg.qr(draw.white((3, 3)))[0]
    squares = torch.zeros(part.shape)
    for row, axis in zip(turn, axes, strict=True):
        along = points[0] * row[0] + points[1] * row[1] + points[2] * row[2]
        squares += (along * (scale / axis)) ** 2
    radius = truth.diameter_mm / 2
    lobes = draw.smooth(part, max(radius * draw.uniform(0.7, 1.2), 2.0)) * (0.04 + 0.14 * truth.lobulation)
    rough = draw.smooth(part, max(radius * 0.3, 1.3)) * (0.03 + 0.07 * truth.spiculation)
    return squares.sqrt() + radius * (lobes + rough)


def _attenuation(
    depth: Tensor, radius: float, part: Grid, truth: NoduleTruth, draw: Draw
) -> Float32[Tensor, "slices rows columns"]:
    """HU within the nodule by kind."""
    grain = draw.smooth(part, draw.uniform(2, 5))
    if truth.kind == "ground-glass":
        return grain * draw.uniform(10, 60) + draw.uniform(-720, -450)
    solid = grain * draw.uniform(0, 30) + draw.uniform(-40, 110)
    if truth.kind == "part-solid":
        core = depth + radius * 0.25 * draw.smooth(part, max(radius * 0.6, 2)) > radius * draw.uniform(0.3, 0.75)
        return torch.where(core, solid, grain * draw.uniform(10, 50) + draw.uniform(-680, -420))
    if truth.kind == "calcified":
        whole = draw.chance(0.5)
        chalk = depth > radius * (draw.uniform(-0.2, 0.2) if whole else draw.uniform(0.3, 0.6))
        return torch.where(chalk, grain * 60 + draw.uniform(250, 1100), solid)
    if truth.kind == "fat":
        return torch.where(draw.smooth(part, max(radius * 0.5, 2)) > draw.uniform(-0.6, 0.3), grain * 15 - 80, solid)
    if radius > 5 and draw.chance(0.08):
        return torch.where(depth > radius * draw.uniform(0.35, 0.7), torch.full_like(solid, draw.uniform(-950, -600)), solid)
    return solid


def _spicules(points: list[Tensor], radius: float, step_mm: float, truth: NoduleTruth, draw: Draw) -> Tensor:
    """Coverage by thin cones that stand on the nodule's surface."""
    square = points[0] ** 2 + points[1] ** 2 + points[2] ** 2
    cover = torch.zeros_like(square)
    for _ in range(round(6 + 18 * truth.spiculation)):
        direction = draw.white((3,))
        direction = direction / direction.norm()
        along = points[0] * direction[0] + points[1] * direction[1] + points[2] * direction[2]
        length = radius * (1 + truth.spiculation * draw.uniform(0.2, 1.0)) + draw.uniform(0.5, 4)
        width = draw.uniform(0.4, 1.0) * (1 - along / length).clamp(min=0) + 0.25
        off = (square - along**2).clamp(min=0).sqrt()
        spike = ((width - off) / step_mm + 0.5).clamp(0, 1) * ((along > 0) & (along < length))
        cover = torch.maximum(cover, spike * (2 * width / step_mm).clamp(max=1))
    return cover
