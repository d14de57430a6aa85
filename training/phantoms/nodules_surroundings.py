"""What lies around nodules in a patch of lung: parenchyma, pleura, chest wall, fissures, scars, haze."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.phantoms.fields import Draw, Grid


@dataclass
class Patch:
    """The picture under way.

    Attributes:
        depth_mm: distance into the lung from the nearest surface; large where there is none, negative beyond the pleura.
        root: where a lung's root may lie, on the face of mediastinum or heart, and the way into the lung from there.
    """

    grid: Grid
    hu: Tensor
    depth_mm: Tensor
    root: tuple[Tensor, Tensor] | None = None

    @property
    def lung(self) -> Tensor:
        return self.depth_mm > 0


def paint_lung(grid: Grid, draw: Draw) -> Patch:
    """Parenchyma with a gradient, at times emphysema, and fissures."""
    level = draw.uniform(-920, -790) if draw.chance(0.85) else draw.uniform(-960, -650)
    hu = draw.smooth(grid, draw.uniform(6, 25)) * draw.uniform(3, 35) + level
    hu += draw.smooth(grid, 60) * draw.uniform(0, 40)
    fine = draw.smooth(grid, draw.uniform(2.2, 4.5))
    hu += fine.abs() * draw.uniform(0, 30) if draw.chance(0.7) else fine.abs() ** 2 * draw.uniform(20, 70)
    if draw.chance(0.2):
        hu[draw.smooth(grid, draw.uniform(4, 12)) > draw.uniform(0.3, 1.5)] = draw.uniform(-1000, -940)
    for _ in range(draw.count(0, 2)):
        _paint_sheet(hu, grid, draw)
    return Patch(grid, hu, torch.full(grid.shape, 1000.0))


def _direction(draw: Draw) -> Tensor:
    direction = draw.white((3,))
    return direction / float(direction.norm())


def _along(grid: Grid, direction: Tensor) -> Tensor:
    z, y, x = grid.axes_mm
    return z * direction[0] + y * direction[1] + x * direction[2]


def _paint_sheet(hu: Tensor, grid: Grid, draw: Draw) -> None:
    """A fissure: a thin, slightly bent sheet."""
    off = (_along(grid, _direction(draw)) - draw.uniform(-35, 35) + draw.smooth(grid, 40) * draw.uniform(0, 4)).abs()
    width, step = draw.uniform(0.3, 1.0), max(grid.spacing_mm)
    cover = ((width / 2 - off) / step + 0.5).clamp(0, 1) * min(1.0, width / step)
    hu += cover * (draw.uniform(-500, -50) - hu)


def paint_surface(patch: Patch, draw: Draw, *, concave: bool) -> None:
    """Tissue beyond a bent surface: the chest wall with ribs (concave) or mediastinum, heart, diaphragm (convex)."""
    grid, outward = patch.grid, _direction(draw)
    curve = math.exp(draw.uniform(math.log(45), math.log(220)))
    off = draw.uniform(-18, 42)
    centre = outward * (off - curve if concave else off + curve)
    z, y, x = grid.axes_mm
    far = ((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2).sqrt()
    depth = curve - far if concave else far - curve
    depth += draw.smooth(grid, draw.uniform(12, 40)) * draw.uniform(0, 2.2)
    ribs = _rib_wave(grid, outward, draw) if concave else torch.full(grid.shape, -1.0)
    level = draw.uniform(0.2, 0.65)
    depth -= (ribs - level).clamp(min=0) * draw.uniform(0, 5)
    if draw.chance(0.35):
        depth -= _plaques(grid, draw)
    tissue = _tissue(grid, draw, blood=not concave)
    if concave:
        _paint_ribs(tissue, -depth, ribs, level, grid, draw)
    else:
        patch.root = outward * (off + draw.uniform(-4, 8)), -outward
    _cover_beyond(patch, depth, tissue)


def _cover_beyond(patch: Patch, depth: Tensor, tissue: Tensor) -> None:
    cover = (0.5 - depth / max(patch.grid.spacing_mm)).clamp(0, 1)
    patch.hu += cover * (tissue - patch.hu)
    patch.depth_mm = torch.minimum(patch.depth_mm, depth)


def _plaques(grid: Grid, draw: Draw) -> Tensor:
    """Thickened pleura: flat, broad swellings of the surface, mm."""
    return (draw.smooth(grid, draw.uniform(7, 20)) - draw.uniform(0.6, 1.6)).clamp(min=0) * draw.uniform(1, 5)


def _tissue(grid: Grid, draw: Draw, *, blood: bool) -> Tensor:
    """Muscle or organ with fat between."""
    level = draw.uniform(100, 330) if blood and draw.chance(0.4) else draw.uniform(10, 75)
    tissue = draw.smooth(grid, 5) * draw.uniform(0, 12) + level
    fat = draw.smooth(grid, draw.uniform(5, 25)) > draw.uniform(-0.3, 2.0)
    tissue[fat] = draw.uniform(-115, -80)
    return tissue


def _rib_wave(grid: Grid, outward: Tensor, draw: Draw) -> Tensor:
    """Above some level where a rib runs, seen along the wall."""
    across = torch.linalg.cross(outward, _direction(draw))
    across = across / across.norm().clamp(min=1e-3)
    place = _along(grid, across) + draw.smooth(grid, 50) * 2
    return torch.cos(place * (2 * math.pi / draw.uniform(18, 34)) + draw.uniform(0, 6.3))


def _paint_ribs(tissue: Tensor, beyond_mm: Tensor, ribs: Tensor, level: float, grid: Grid, draw: Draw) -> None:
    first = draw.uniform(0.8, 5)
    middle, half = first + draw.uniform(3, 5), draw.uniform(3, 5.5)
    round_ = ((beyond_mm - middle) / half) ** 2 + ((1 - ribs) / (1 - level)) ** 2
    tissue[round_ < 1] = draw.uniform(350, 900)
    marrow = round_ < draw.uniform(0.3, 0.65)
    tissue[marrow] = (draw.smooth(grid, 3) * 40 + draw.uniform(60, 280))[marrow]


def paint_scars(patch: Patch, draw: Draw) -> None:
    """Bands: plates of limited width, often reaching the pleura; at times a small cluster of tangled lines."""
    grid = patch.grid
    for _ in range(draw.count(0, 3)):
        if not draw.chance(0.5):
            continue
        normal, side = _direction(draw), _direction(draw)
        off = (_along(grid, normal) - draw.uniform(-30, 30) + draw.smooth(grid, 18) * 2).abs()
        extent = (_along(grid, side) - draw.uniform(-30, 30)).abs()
        width, reach = draw.uniform(0.6, 3.0), draw.uniform(5, 25)
        third = torch.linalg.cross(normal, side)
        limit = (_along(grid, third) - draw.uniform(-30, 30)).abs() < draw.uniform(2, 14)
        taper = (1 - extent / reach).clamp(min=0)
        cover = ((width * taper / 2 - off) / max(grid.spacing_mm) + 0.5).clamp(0, 1) * limit * (taper > 0)
        patch.hu = torch.where(patch.lung, patch.hu + cover * (draw.uniform(-350, 40) - patch.hu).clamp(min=0), patch.hu)


def paint_haze(patch: Patch, draw: Draw) -> None:
    """Ill-defined density: dependent haze, small patches of consolidation; no nodules."""
    if draw.chance(0.12):
        field = draw.smooth(patch.grid, draw.uniform(14, 40)) - draw.uniform(0.4, 1.4)
        cover = (field * draw.uniform(0.5, 2)).clamp(0, 1)
        patch.hu = torch.where(patch.lung, patch.hu + cover * (draw.uniform(-700, -300) - patch.hu).clamp(min=0), patch.hu)
    if draw.chance(0.1):
        near = torch.exp(-patch.depth_mm.clamp(min=0) / draw.uniform(2, 8))
        field = (near * draw.uniform(0.2, 0.9) + draw.smooth(patch.grid, 6) * 0.1 * near).clamp(0, 1)
        patch.hu = torch.where(patch.lung, patch.hu + field * (draw.uniform(-500, -100) - patch.hu).clamp(min=0), patch.hu)
