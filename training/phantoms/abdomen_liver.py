"""The liver of the abdomen phantom: its shape, its vessels, the gallbladder, and what surgery and fluid do to it."""

import torch
from torch import Tensor

from training.phantoms.abdomen_body import Canvas, ball, squared
from training.phantoms.fields import Draw


def shape_liver(canvas: Canvas, draw: Draw) -> Tensor:
    """Mask of the liver: a large right lobe under the dome, a left one that tapers off in front of spine and stomach."""
    frame, x, y, z = canvas.frame, canvas.x, canvas.y, canvas.z
    width, depth = frame.cavity_width, frame.cavity_depth
    tip = draw.uniform(0.05, 0.95) * width
    height, left_height = draw.uniform(100, 215), draw.uniform(28, 80)
    along = ((x + width) / (tip + width)).clamp(0, 1.3)
    taper = ((along - draw.uniform(0.05, 0.4)) / draw.uniform(0.5, 0.8)).clamp(0, 1)
    top = draw.uniform(0, 4)
    lower = frame.dome_z - height + (height - left_height) * taper * taper * (3 - 2 * taper)
    lower = lower + draw.uniform(0, 0.75) * (y + depth * 0.2) * (0.4 + taper)
    knee, slope, room = -draw.uniform(30, 85), draw.uniform(0.6, 1.5), draw.uniform(-0.65, 0.15) * depth
    edge = tip - x + y * draw.uniform(-0.5, 0.5) + (z - frame.dome_z + 50) * draw.uniform(-0.3, 0.7)
    behind = torch.maximum(depth * 1.1 - (x - knee).clamp(min=0) * slope, room - (x * 0.2).clamp(min=0))
    gap = draw.uniform(0, 2.5) if draw.chance(0.75) else draw.uniform(2.5, 15)
    walls = [
        (1 - canvas.radius) * min(width, depth) - gap * (0.6 + 0.4 * torch.tanh(-y / 40)),
        canvas.diaphragm_z - top - z,
        z - lower,
        behind - y,
        edge * draw.uniform(0.3, 1.0),
    ]
    softness = draw.uniform(3, 9)
    field = -softness * torch.logsumexp(torch.stack([-wall.expand(canvas.grid.shape) / softness for wall in walls]), 0)
    field = field + draw.smooth(canvas.grid, draw.uniform(25, 60)) * draw.uniform(0.5, 8)
    liver = (field > 0) & canvas.abdomen
    return _without_fissures(canvas, _resected(canvas, liver, draw), lower, draw)


def _without_fissures(canvas: Canvas, liver: Tensor, lower: Tensor, draw: Draw) -> Tensor:
    """Without the fissure of the round ligament and the hilum, both open downwards and full of fat."""
    x, y, z = canvas.x, canvas.y, canvas.z
    depth = canvas.frame.cavity_depth
    place, lean, half = draw.uniform(-25, 30), draw.uniform(-0.3, 0.3), draw.uniform(0, 5)
    teres = ((x - place - lean * y).abs() < half) & (z < lower + draw.uniform(8, 55)) & (y < draw.uniform(-0.4, 0.1) * depth)
    centre = (place - draw.uniform(5, 35), draw.uniform(-0.15, 0.3) * depth)
    hilum = (
        squared(
            (x - centre[0]) / draw.uniform(10, 30), (y - centre[1]) / draw.uniform(6, 16), (z - lower) / draw.uniform(8, 30)
        )
        < 1
    )
    cleft = (draw.smooth(canvas.grid, 60).abs() < draw.uniform(0.0, 0.05)) & (z < lower + 40) & draw.chance(0.4)
    return liver & ~teres & ~hilum & ~cleft


def _resected(canvas: Canvas, liver: Tensor, draw: Draw) -> Tensor:
    """At times a part is gone after surgery: left of, right of or below a plane."""
    if not draw.chance(0.08):
        return liver
    x = canvas.x + draw.smooth(canvas.grid, 40) * 6
    cut = (x > draw.uniform(-40, 0), x < draw.uniform(-70, -30), canvas.z < draw.uniform(-60, 0))[draw.count(0, 2)]
    return liver & ~cut


def paint_liver(canvas: Canvas, liver: Tensor, draw: Draw) -> Tensor:
    """Parenchyma with its vessels and uneven fat; the mask of the hepatic and portal veins."""
    grid, levels = canvas.grid, canvas.levels
    canvas.fill(liver, levels.liver + draw.smooth(grid, 8) * draw.uniform(0, 5))
    if draw.chance(0.2):
        uneven = torch.sigmoid((draw.smooth(grid, draw.uniform(20, 60)) - draw.uniform(0, 1.5)) * 6)
        canvas.fill(liver, canvas.hu - uneven * draw.uniform(-12, 30))
    veins = torch.zeros_like(liver)
    for level, cells in ((levels.hepatic, (45, 24, 14)), (levels.portal, (40, 22, 13))):
        for cell in cells:
            width = draw.uniform(0.04, 0.12) * (1 if cell > 30 else 1.3)
            tree = (squared(draw.smooth(grid, cell), draw.smooth(grid, cell)) < width**2) & liver
            canvas.fill(tree, level)
            veins |= tree
    veins |= _paint_stems(canvas, liver, draw)
    if draw.chance(0.08):
        ducts = (squared(draw.smooth(grid, 28), draw.smooth(grid, 28)) < draw.uniform(0.05, 0.14) ** 2) & liver
        canvas.fill(ducts, draw.uniform(0, 20) if draw.chance(0.8) else -800.0)
    return veins


def _paint_stems(canvas: Canvas, liver: Tensor, draw: Draw) -> Tensor:
    """Three hepatic veins that run to the cava below the dome, and the portal vein in from the hilum."""
    x, y, z = canvas.x, canvas.y, canvas.z
    frame, levels = canvas.frame, canvas.levels
    root = (
        -draw.uniform(12, 28),
        frame.spine_y - frame.spine_radius - draw.uniform(12, 35),
        frame.dome_z - draw.uniform(12, 40),
    )
    stems = torch.zeros_like(liver)
    ends = ((-95, 20, -60), (-45, -60, -60), (25, -45, -35))
    for end in ends:
        way = [draw.uniform(0.8, 1.2) * step for step in end]
        length = sum(step**2 for step in way)
        share = ((x - root[0]) * way[0] + (y - root[1]) * way[1] + (z - root[2]) * way[2]) / length
        share = share.clamp(0, 1)
        off = squared(x - root[0] - share * way[0], y - root[1] - share * way[1], z - root[2] - share * way[2])
        stems |= off < (draw.uniform(4, 7) * (1 - 0.6 * share)) ** 2
    canvas.fill(stems & liver, levels.hepatic)
    start = (draw.uniform(-30, -10), draw.uniform(0, 15), draw.uniform(-10, 20))
    share = ((start[0] - x) / 70).clamp(-1, 1)
    off = squared(y - start[1] + share * draw.uniform(-10, 20), z - start[2] - share.abs() * draw.uniform(10, 35))
    portal = (off < (draw.uniform(5, 9) * (1 - 0.5 * share.abs())) ** 2) & (x > start[0] - 70) & (x < start[0] + 45)
    canvas.fill(portal & canvas.abdomen, levels.portal)
    return (stems | portal) & liver


def paint_gallbladder(canvas: Canvas, liver: Tensor, draw: Draw) -> Tensor:
    """A pear in a bed at the lower face: bile, at times stones or contrast; the mask of it."""
    nothing = torch.zeros_like(liver)
    if draw.chance(0.2):
        return nothing
    x, y = -draw.uniform(15, 75), -canvas.frame.cavity_depth * draw.uniform(-0.05, 0.6)
    column = liver & (squared(canvas.x - x, canvas.y - y) < 12**2)
    if not column.any():
        return nothing
    z = float(canvas.z[column].min()) + draw.uniform(-22, 12)
    size = draw.uniform(0.6, 1.4)
    field = ball(canvas, (x, y, z), (15 * size, 22 * size, 20 * size)) + draw.smooth(canvas.grid, 25) * 0.1
    bladder = (field < 1) & canvas.abdomen
    canvas.fill(bladder, canvas.levels.wall)
    bile = draw.uniform(-2, 25) if draw.chance(0.9) else draw.uniform(60, 400)
    canvas.fill(bladder & (field < draw.uniform(0.75, 0.95)), bile)
    if draw.chance(0.15):
        stones = bladder & (canvas.y > y + 4) & (draw.smooth(canvas.grid, 6) > 0.6)
        canvas.fill(stones, draw.uniform(60, 700))
    return bladder


def paint_ascites(canvas: Canvas, liver: Tensor, draw: Draw) -> None:
    """Fluid between the organs, at times, in place of fat."""
    if draw.chance(0.1):
        near = canvas.radius > draw.uniform(0.7, 0.97)
        where = canvas.abdomen & near & (canvas.hu < -60) & (canvas.hu > -200) & ~liver
        canvas.fill(where, draw.uniform(-2, 25))
