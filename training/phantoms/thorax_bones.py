"""The skeleton of the thorax phantom: ribs, spine, sternum, clavicles, shoulder blades and heads of the upper arms."""

import torch
from torch import Tensor

from training.phantoms.fields import Draw
from training.phantoms.thorax_build import SIDES, Canvas, squared


def paint_bones(canvas: Canvas, draw: Draw) -> None:
    """All bones, none of them within a lung."""
    grain = draw.smooth(canvas.grid, 5)
    _paint_ribs(canvas, grain, draw)
    _paint_spine(canvas, grain, draw)
    _paint_sternum(canvas, grain, draw)
    _paint_shoulders(canvas, grain, draw)


def _paint_ribs(canvas: Canvas, grain: Tensor, draw: Draw) -> None:
    """Rings that fall towards the front, cortex around marrow, cartilage in front."""
    build, z = canvas.build, canvas.z
    middle, half = draw.uniform(4.5, 8), draw.uniform(3.0, 4.5)
    period = draw.uniform(24, 31)
    slope = draw.uniform(0.35, 0.75)
    phase = (z + (canvas.y + build.cage_depth) * slope) / period
    along = ((phase + draw.uniform(0, 1)) % 1 - 0.5).abs() * period
    height = draw.uniform(5, 8)
    section = squared((canvas.wall_mm - middle) / half, along / height)
    where = canvas.inner & ~canvas.lungs & (z < build.apex_z + 6) & (z > build.base_z - draw.uniform(60, 120))
    where &= canvas.x.abs() > 16
    ribs = (section < 1) & where
    canvas.fill(ribs, grain * 120 + draw.uniform(350, 900))
    canvas.fill(ribs & (section < 0.3), grain * 60 + draw.uniform(60, 300))
    cartilage = ribs & (canvas.y < -build.cage_depth * draw.uniform(0.5, 0.8))
    canvas.fill(cartilage, draw.uniform(70, 140))


def _paint_spine(canvas: Canvas, grain: Tensor, draw: Draw) -> None:
    """Vertebral bodies with discs between, arch, canal, transverse and spinous processes."""
    build, x, z = canvas.build, canvas.x, canvas.z
    back = canvas.y - build.spine_y
    radius = build.spine_radius
    period = draw.uniform(22, 32)
    level = ((z / period + draw.uniform(0, 1)) % 1 - 0.5).abs()
    section = squared(x / 1.2, back)
    free = canvas.inner & ~canvas.lungs
    vertebra = (section < (radius - 1) ** 2) & free
    marrow = draw.uniform(80, 240)
    canvas.fill(vertebra, grain * 50 + marrow)
    canvas.fill(vertebra & (section > (radius - 3.5) ** 2), grain * 60 + marrow + draw.uniform(80, 350))
    canvas.fill(vertebra & (level > 0.39), draw.uniform(250, 600))
    canvas.fill(vertebra & (level > 0.43), draw.uniform(50, 120))
    arch = (squared(x / 1.3, back - radius - 6) < 15**2) & (back > radius - 4)
    spur = (x.abs() < 4) & (back > radius + 10) & (back < radius + draw.uniform(30, 48)) & (level < 0.3)
    wings = ((back - radius - 2 - 0.5 * x.abs()).abs() < 5) & (x.abs() < draw.uniform(28, 42)) & (level < 0.22)
    canvas.fill((arch | spur | wings) & free, grain * 100 + draw.uniform(200, 600))
    canvas.fill((squared(x, back - radius - 6) < 8**2) & free, draw.uniform(0, 40))


def _paint_sternum(canvas: Canvas, grain: Tensor, draw: Draw) -> None:
    build = canvas.build
    half = draw.uniform(14, 24) * (1 + 0.5 * torch.sigmoid((canvas.z - 45) / 8))
    plate = (canvas.x.abs() < half) & ((canvas.wall_mm - draw.uniform(5, 8)).abs() < 6) & (canvas.y < -build.cage_depth * 0.5)
    where = plate & (canvas.z < draw.uniform(70, 100)) & (canvas.z > draw.uniform(-70, -30)) & canvas.inner & ~canvas.lungs
    canvas.fill(where, grain * 60 + draw.uniform(60, 300))


def _paint_shoulders(canvas: Canvas, grain: Tensor, draw: Draw) -> None:
    """Clavicles, blades over the back of the cage with their ridge, heads of the upper arms."""
    build, x, y, z = canvas.build, canvas.x, canvas.y, canvas.z
    free = canvas.body & ~canvas.lungs & (canvas.wall_mm > 3)
    hard = grain * 120 + draw.uniform(350, 900)
    slope, level = draw.uniform(0.05, 0.5), build.apex_z - draw.uniform(0, 45)
    forward = y + build.cage_depth * draw.uniform(0.4, 0.9) - x.abs() * draw.uniform(0.2, 0.5)
    clavicle = squared(forward, z - level - x.abs() * slope) < draw.uniform(6, 9) ** 2
    canvas.fill(clavicle & free & (x.abs() > 15) & (x.abs() < build.cage_width + 30), hard)
    if draw.chance(0.85):
        gap, lean = draw.uniform(16, 26), draw.uniform(-0.2, 0.3)
        top, bottom = build.apex_z - draw.uniform(0, 30), build.apex_z - draw.uniform(120, 160)
        blade = ((canvas.wall_mm - gap - lean * (z - bottom) * 0.1).abs() < draw.uniform(1.5, 3.5)) & (z < top) & (z > bottom)
        behind = (y > build.cage_depth * draw.uniform(-0.1, 0.25)) & (x.abs() > build.cage_width * draw.uniform(0.35, 0.6))
        narrow = x.abs() > build.cage_width * 0.9 - (z - bottom) * 0.8
        canvas.fill(blade & behind & narrow & free, hard)
        ridge = ((z - top + 30 - (x.abs() - build.cage_width * 0.5) * 0.4).abs() < 4) & (canvas.wall_mm > gap)
        canvas.fill(ridge & behind & free & canvas.inner & (canvas.wall_mm < gap + draw.uniform(10, 25)), hard)
    for side in SIDES:
        out, up = build.cage_width + draw.uniform(0, 35), build.apex_z - draw.uniform(-20, 40)
        head = squared(x - side * out, y - draw.uniform(-10, 30), z - up) < draw.uniform(18, 25) ** 2
        canvas.fill(head & free & canvas.inner, hard * draw.uniform(0.4, 0.8))
