"""The upper abdomen of the thorax phantom: diaphragm, liver, stomach, spleen, kidneys, bowel with gas and stool."""

import torch
from torch import Tensor

from training.phantoms.fields import Draw
from training.phantoms.thorax_build import SIDES, Canvas, squared


def above_diaphragm(canvas: Canvas, draw: Draw, *, plain: bool) -> Tensor:
    """Where the chest is: two domes with deep recesses at the back and the side, at times flat or high."""
    build = canvas.build
    flat = draw.uniform(0.15, 0.5) if draw.chance(0.2) and not plain else 1.0
    heights = []
    for side, top in zip(SIDES, build.dome_z, strict=True):
        lateral = (canvas.x - build.midline_x - side * build.cage_width * draw.uniform(0.35, 0.5)) / (build.cage_width * 0.62)
        sagittal = (canvas.y - draw.uniform(-30, 0)) / (build.cage_depth * 0.95)
        heights.append(top - squared(lateral, sagittal) ** draw.uniform(0.9, 1.6) * draw.uniform(45, 120) * flat)
    uneven = draw.smooth(canvas.grid, 40) * draw.uniform(0, 5)
    right = canvas.x < build.midline_x
    return canvas.z + uneven > torch.where(right, heights[0], heights[1])


def paint_abdomen(canvas: Canvas, above: Tensor, mediastinum: Tensor, draw: Draw, *, plain: bool) -> None:
    """Organs in fat below the diaphragm; the left dome holds stomach, spleen and often the bowel's gas."""
    build = canvas.build
    abdomen = canvas.cavity & ~above & ~mediastinum
    canvas.fill(abdomen, draw.uniform(-115, -60))
    boost = draw.uniform(0, 80) if build.contrast else 0.0
    _paint_kidneys(canvas, abdomen, boost, draw)
    _paint_liver(canvas, abdomen, draw.uniform(30, 75) + boost * 0.7, draw)
    spleen = squared(
        (canvas.x - build.cage_width * draw.uniform(0.55, 0.8)) / draw.uniform(22, 45),
        (canvas.y - build.cage_depth * draw.uniform(0.2, 0.55)) / draw.uniform(30, 55),
        (canvas.z - build.dome_z[1] + draw.uniform(25, 55)) / draw.uniform(35, 60),
    )
    canvas.fill(abdomen & (spleen < 1), draw.uniform(40, 60) + boost)
    _paint_stomach(canvas, abdomen, draw)
    if draw.chance(0.85) and not plain:
        stool = draw.smooth(canvas.grid, 7) * 300
        for _ in range(draw.count(2, 12)):
            _paint_bowel(canvas, abdomen, stool, draw)


def _paint_liver(canvas: Canvas, abdomen: Tensor, level_hu: float, draw: Draw) -> None:
    build = canvas.build
    edge = build.cage_width * draw.uniform(-0.1, 0.45)
    bottom = build.base_z - draw.uniform(30, 130)
    slope = draw.uniform(0.2, 0.9)
    liver = abdomen & (canvas.x + canvas.y * draw.uniform(0, 0.6) < edge + (canvas.z - build.base_z) * 0.3)
    liver &= canvas.z > bottom + (canvas.x + build.cage_width * 0.6).clamp(min=0) * slope
    canvas.fill(liver, level_hu)


def _paint_kidneys(canvas: Canvas, abdomen: Tensor, boost: float, draw: Draw) -> None:
    build = canvas.build
    for side in SIDES:
        radius = squared(
            (canvas.x - side * draw.uniform(48, 65)) / draw.uniform(22, 32),
            (canvas.y - build.spine_y + draw.uniform(-5, 25)) / draw.uniform(20, 30),
            (canvas.z - build.base_z + draw.uniform(60, 130)) / draw.uniform(45, 60),
        )
        canvas.fill(abdomen & (radius < 1), 30 + boost * 2)
        canvas.fill(abdomen & (radius < 0.15), draw.uniform(-90, 200))


def _paint_stomach(canvas: Canvas, abdomen: Tensor, draw: Draw) -> None:
    """Its wall, what it holds, and above that - in front - a bubble of gas, often right beneath the left dome."""
    build = canvas.build
    x = canvas.x - build.midline_x - build.cage_width * draw.uniform(0.25, 0.6)
    y = canvas.y + build.cage_depth * draw.uniform(-0.2, 0.45)
    z = canvas.z - build.dome_z[1] + draw.uniform(20, 60)
    radius = squared(x / draw.uniform(28, 55), y / draw.uniform(25, 50), (z + x * draw.uniform(0, 0.8)) / draw.uniform(25, 60))
    canvas.fill(abdomen & (radius < 1), draw.uniform(30, 70))
    holds = abdomen & (radius < draw.uniform(0.6, 0.85))
    canvas.fill(holds, draw.uniform(-20, 60) if draw.chance(0.8) else draw.uniform(100, 500))
    if draw.chance(0.75):
        canvas.fill(holds & (y < draw.uniform(-25, 25)), draw.uniform(-1005, -940))


def _paint_bowel(canvas: Canvas, abdomen: Tensor, stool: Tensor, draw: Draw) -> None:
    """One loop: gas over a level of fluid, stool or nothing but gas; near the front, and at times beneath a dome."""
    build = canvas.build
    radius = draw.uniform(8, 38)
    x = canvas.x - draw.uniform(-0.85, 0.85) * build.cage_width
    y = canvas.y + draw.uniform(-0.35, 0.85) * build.cage_depth
    z = canvas.z - build.base_z - (draw.uniform(-10, 40) if draw.chance(0.3) else draw.uniform(-200, 0))
    loop = abdomen & (squared(x / (radius * draw.uniform(0.8, 2.2)), y / radius, z / (radius * draw.uniform(0.7, 1.4))) < 1)
    kind = draw.uniform(0, 1)
    if kind < 0.45:
        canvas.fill(loop, draw.uniform(-1005, -900))
    elif kind < 0.65:
        canvas.fill(loop, draw.uniform(10, 60))
        canvas.fill(loop & (y < 0), draw.uniform(-1005, -900))
    elif kind < 0.85:
        canvas.fill(loop, stool + draw.uniform(-400, -50))
    else:
        canvas.fill(loop, draw.uniform(10, 60))
