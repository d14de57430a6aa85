"""Disease of the thorax phantom: what a lung may hold and still be lung; effusion and pneumothorax, which are no lung."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from training.phantoms.fields import Draw, Grid
from training.phantoms.thorax_build import SIDES, Canvas, squared


@dataclass(frozen=True, slots=True)
class Nodule:
    """What is known of one nodule or mass.

    Attributes:
        centre: index of its centre (slice, row, column).
        diameter_mm: of the ball of its drawn volume before the lung's border cuts it.
        attenuation: "solid", "part-solid" or "ground-glass".
        mean_hu: painted; of a part-solid nodule that of its rim.
    """

    centre: tuple[int, int, int]
    diameter_mm: float
    attenuation: str
    mean_hu: float


def paint(canvas: Canvas, draw: Draw, *, plain: bool) -> tuple[Tensor, tuple[Nodule, ...]]:
    """Paints nodules and, unless plain, diffuse disease; the mask of the nodules and their list."""
    if not plain:
        for probability, paint_one in _DIFFUSE:
            if draw.chance(probability):
                paint_one(canvas, draw)
    nodules, known = _paint_nodules(canvas, draw, plain=plain)
    if not plain:
        for probability, paint_one in _PLEURAL:
            if draw.chance(probability):
                paint_one(canvas, draw)
    return nodules & canvas.lungs, known


def _paint_nodules(canvas: Canvas, draw: Draw, *, plain: bool) -> tuple[Tensor, tuple[Nodule, ...]]:
    nodules = torch.zeros(canvas.grid.shape, dtype=torch.bool)
    places = canvas.lungs[::2, ::2, ::2].nonzero() * 2
    known: list[Nodule] = []
    if len(places) < 100:
        return nodules, ()
    for _ in range(draw.count(2, 4) if plain else draw.count(0, 6)):
        centre = [int(index) for index in places[int(draw.uniform(0, len(places) - 1e-3))]]
        radius = draw.uniform(3, 9) if plain else 2.5 + 22 * draw.uniform(0, 1) ** 2
        known.append(_paint_nodule(canvas, nodules, centre, radius, draw))
    return nodules, tuple(known)


def _paint_nodule(canvas: Canvas, nodules: Tensor, centre: list[int], radius: float, draw: Draw) -> Nodule:
    box = canvas.grid.box(centre, radius * 1.6)
    stretch = [draw.uniform(0.8, 1.25) for _ in range(3)]
    z, y, x = _offsets(canvas.grid, box, centre)
    squares = [(axis / factor) ** 2 for axis, factor in zip((z, y, x), stretch, strict=True)]
    distance = squares[0] + squares[1] + squares[2]
    bumps = torch.cos(squares[0].sqrt() * 0.7) * torch.cos((squares[1] + squares[2]).sqrt() * 0.8)
    surface = distance + bumps * radius**2 * 0.2
    nodule = (surface < radius**2) & canvas.lungs[box]
    kind = draw.uniform(0, 1) if radius > 4 else 0.0
    mean_hu = draw.uniform(-50, 90) if kind < 0.65 else draw.uniform(-650, -350)
    canvas.hu[box][nodule] = mean_hu
    if kind > 0.85:
        canvas.hu[box][nodule & (surface < (radius * draw.uniform(0.3, 0.7)) ** 2)] = draw.uniform(-50, 90)
    if radius > 9 and draw.chance(0.15):
        canvas.hu[box][nodule & (surface < (radius * draw.uniform(0.3, 0.7)) ** 2)] = draw.uniform(-1000, -850)
    nodules[box] |= nodule
    diameter = 2 * radius * math.prod(stretch) ** (1 / 3)
    name = "solid" if kind < 0.65 else "ground-glass" if kind <= 0.85 else "part-solid"
    return Nodule((centre[0], centre[1], centre[2]), diameter, name, mean_hu)


def _offsets(grid: Grid, box: tuple[slice, slice, slice], centre: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    lines = [
        (torch.arange(part.start, part.stop) - index) * step
        for part, index, step in zip(box, centre, grid.spacing_mm, strict=True)
    ]
    return lines[0].view(-1, 1, 1), lines[1].view(1, -1, 1), lines[2].view(1, 1, -1)


def _paint_consolidation(canvas: Canvas, draw: Draw) -> None:
    """Patches of consolidation, ground glass or fibrosis, more often at the back."""
    field = draw.smooth(canvas.grid, draw.uniform(20, 50)) * 0.55
    field += canvas.y * (draw.uniform(0, 1.2) / canvas.build.cage_depth)
    level = draw.uniform(-150, 60) if draw.chance(0.4) else draw.uniform(-700, -350)
    grain = draw.smooth(canvas.grid, 6) * draw.uniform(5, 80)
    canvas.fill(canvas.lungs & (field > draw.uniform(0.8, 1.8)), grain + level)


def _paint_lobar_consolidation(canvas: Canvas, draw: Draw) -> None:
    """A whole lower or upper lobe without air but for its bronchi, or the dependent part of one."""
    lung = canvas.right_lung if draw.chance(0.5) else canvas.left_lung
    lobe = lung & (canvas.lower_lobes if draw.chance(0.65) else ~canvas.lower_lobes)
    reach = canvas.y + draw.smooth(canvas.grid, 30) * 8 > draw.uniform(-1.0, 0.6) * canvas.build.cage_depth
    bronchi = canvas.hu < -950 if draw.chance(0.5) else torch.zeros_like(lobe)
    grain = draw.smooth(canvas.grid, 8) * draw.uniform(5, 40)
    canvas.fill(lobe & reach & ~bronchi, grain + draw.uniform(-120, 90))


def _paint_fibrosis(canvas: Canvas, draw: Draw) -> None:
    """Reticulation and honeycombs beneath the pleura, most at the bases."""
    near_wall = canvas.wall_mm > -draw.uniform(8, 30) + draw.smooth(canvas.grid, 25) * 6
    low = canvas.z < draw.uniform(-60, 60) + draw.smooth(canvas.grid, 40) * 20
    mesh = draw.smooth(canvas.grid, draw.uniform(4, 8))
    level = torch.where(mesh.abs() < draw.uniform(0.2, 0.6), draw.uniform(-400, -50), draw.uniform(-980, -700))
    canvas.fill(canvas.lungs & near_wall & low, level)


def _paint_emphysema(canvas: Canvas, draw: Draw) -> None:
    """Holes without walls, more often in the upper half."""
    field = draw.smooth(canvas.grid, draw.uniform(5, 16)) + canvas.z * draw.uniform(-0.002, 0.008)
    holes = field > draw.uniform(0.2, 1.8)
    canvas.fill(canvas.lungs & holes & (canvas.hu < -600), draw.uniform(-1000, -940))


def _paint_bullae(canvas: Canvas, draw: Draw) -> None:
    """Large round spaces of air with thin walls, at times most of a lung; they are lung."""
    places = canvas.lungs[::3, ::3, ::3].nonzero() * 3
    if len(places) < 30:
        return
    for _ in range(draw.count(1, 7)):
        centre = [int(index) for index in places[int(draw.uniform(0, len(places) - 1e-3))]]
        radius = draw.uniform(8, 25) if draw.chance(0.75) else draw.uniform(25, 60)
        box = canvas.grid.box(centre, radius)
        z, y, x = _offsets(canvas.grid, box, centre)
        distance = z**2 + (y * draw.uniform(0.8, 1.3)) ** 2 + (x * draw.uniform(0.8, 1.3)) ** 2
        lung = canvas.lungs[box]
        canvas.hu[box][lung & (distance < radius**2)] = draw.uniform(-750, -500)
        canvas.hu[box][lung & (distance < (radius - 1.5) ** 2)] = draw.uniform(-1005, -965)


def _paint_effusion(canvas: Canvas, draw: Draw) -> None:
    """Fluid at the back and the base of one or both sides, at times most of a side; the lung beside it has collapsed."""
    build = canvas.build
    level = draw.uniform(-0.2 if draw.chance(0.3) else 0.3, 0.9) * build.cage_depth
    fluid = canvas.y - level - (canvas.z - build.base_z) * draw.uniform(0.1, 0.6) + draw.smooth(canvas.grid, 40) * 4
    which = draw.uniform(0, 1)
    if which < 0.7:
        fluid = fluid.masked_fill(canvas.x > build.midline_x if which < 0.35 else canvas.x < build.midline_x, -100.0)
    if draw.chance(0.6):
        canvas.fill(canvas.lungs & (fluid > -draw.uniform(5, 25)), draw.uniform(-150, 90))
    wet = fluid > 0
    canvas.fill(canvas.lungs & wet, draw.uniform(-5, 35))
    canvas.displace_lung(wet)


def _paint_pneumothorax(canvas: Canvas, draw: Draw) -> None:
    """Air without lung in front of one lung, which is denser and clearly bordered; the air is not lung."""
    build = canvas.build
    side = canvas.right_lung if draw.chance(0.5) else canvas.left_lung
    depth = -build.cage_depth * draw.uniform(0.4, 0.9) + draw.smooth(canvas.grid, 50) * 4
    rim = canvas.wall_mm > -draw.uniform(0, 14)
    air = side & ((canvas.y < depth) | (rim & (canvas.y < build.cage_depth * draw.uniform(-0.3, 0.6))))
    canvas.fill(side & ~air, canvas.hu + draw.uniform(20, 150) * (canvas.hu < -600))
    canvas.fill(air, draw.uniform(-1008, -990))
    canvas.displace_lung(air)


def empty_side(canvas: Canvas, draw: Draw) -> None:
    """One lung removed or collapsed: fluid or soft tissue fills its side, a stump of lung may remain, airless."""
    build = canvas.build
    lung = canvas.right_lung if build.absent == SIDES[0] else canvas.left_lung
    canvas.fill(lung, draw.uniform(-5, 40) + draw.smooth(canvas.grid, 30) * 8)
    if draw.chance(0.4):
        hilum = squared(canvas.x - build.midline_x - build.absent * 40, canvas.y - 15, canvas.z - build.carina_z + 25)
        canvas.fill(lung & (hilum < draw.uniform(15, 45) ** 2), draw.uniform(30, 110))
    canvas.displace_lung(lung)


_Paint = Callable[[Canvas, Draw], None]
_DIFFUSE: tuple[tuple[float, _Paint], ...] = (
    (0.3, _paint_consolidation),
    (0.12, _paint_fibrosis),
    (0.3, _paint_emphysema),
    (0.15, _paint_bullae),
    (0.12, _paint_lobar_consolidation),
)
_PLEURAL: tuple[tuple[float, _Paint], ...] = ((0.25, _paint_effusion), (0.05, _paint_pneumothorax))
