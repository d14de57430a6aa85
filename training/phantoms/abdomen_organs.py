"""The neighbours of the liver in the abdomen phantom: bowel, stomach, spleen, kidneys, pancreas, vessels, gallbladder."""

import math

import torch
from torch import Tensor

from training.phantoms.abdomen_body import SIDES, Canvas, ball, squared
from training.phantoms.fields import Draw


def paint_bowel(canvas: Canvas, draw: Draw) -> None:
    """Loops with fluid, stool, gas or contrast, more of them downwards; mesenteric vessels between."""
    room = canvas.abdomen
    cell = draw.uniform(18, 36)
    level = draw.uniform(-0.2, 1.4) + (canvas.z / 150).clamp(-0.8, 0.8)
    loops = draw.smooth(canvas.grid, cell)
    wall = room & (loops > level)
    canvas.fill(wall, canvas.levels.wall + draw.smooth(canvas.grid, 8) * draw.uniform(2, 15))
    inside = room & (loops > level + draw.uniform(0.1, 0.45))
    kind = draw.smooth(canvas.grid, cell * 1.6)
    stool = draw.smooth(canvas.grid, 5) * draw.uniform(30, 140) - draw.uniform(-40, 120)
    canvas.fill(inside & (kind > 0.5), stool)
    canvas.fill(inside & (kind < -0.9), draw.uniform(0, 30))
    canvas.fill(inside & (kind < -1.1) & (draw.smooth(canvas.grid, 30) > -0.3), -980.0)
    if draw.chance(0.3):
        canvas.fill(inside & (kind > -0.3) & (kind < 0.5), draw.uniform(120, 700))
    strands = (squared(draw.smooth(canvas.grid, 18), draw.smooth(canvas.grid, 18)) < draw.uniform(0.005, 0.03)) & room & ~wall
    canvas.fill(strands, draw.uniform(-20, canvas.levels.portal))


def paint_stomach(canvas: Canvas, draw: Draw) -> Tensor:
    """A J of balls below the left dome: wall, and gas above a level of fluid, food or contrast; the mask of it."""
    frame = canvas.frame
    size = draw.uniform(0.55, 1.35)
    x, y, z = draw.uniform(45, 80), draw.uniform(-0.25, 0.35) * frame.cavity_depth, frame.left_dome_z - draw.uniform(35, 75)
    parts = [ball(canvas, (x, y, z), (38 * size, 34 * size, 45 * size))]
    steps = draw.count(2, 4)
    end_x, end_y, end_z = draw.uniform(-45, 15), -frame.cavity_depth * draw.uniform(0.1, 0.6), z - draw.uniform(30, 120)
    for step in range(1, steps + 1):
        share = step / steps
        centre = (x + (end_x - x) * share**1.5, y + (end_y - y) * share, z + (end_z - z) * share**0.7)
        radius = (34 - 16 * share) * size
        parts.append(ball(canvas, centre, (radius * draw.uniform(1, 1.5), radius, radius * draw.uniform(1, 1.5))))
    field = torch.stack(parts).amin(0) + draw.smooth(canvas.grid, 25) * 0.15
    stomach = (field < 1) & canvas.abdomen
    canvas.fill(stomach, canvas.levels.wall + draw.uniform(-10, 25))
    thin = draw.uniform(0.72, 0.94)
    content = stomach & (field < thin)
    kinds = (draw.uniform(0, 25), draw.uniform(30, 75), draw.uniform(80, 600), draw.uniform(-80, 40))
    filling = kinds[draw.count(0, 3)] + draw.smooth(canvas.grid, 7) * draw.uniform(0, 30) * draw.chance(0.5)
    canvas.fill(content, filling)
    sign = -1.0 if frame.prone else 1.0
    gas = content & (canvas.y * sign < (y + draw.uniform(-45, 30) * size) * sign)
    canvas.fill(gas, draw.uniform(-1000, -950))
    return stomach


def paint_spleen(canvas: Canvas, draw: Draw) -> None:
    """A bean at the left wall behind, at times large enough to meet the liver; patchy in the arterial phase."""
    frame, size = canvas.frame, draw.uniform(0.7, 1.1) if draw.chance(0.75) else draw.uniform(1.1, 1.9)
    x, y = frame.cavity_width * draw.uniform(0.7, 0.92), frame.cavity_depth * draw.uniform(0.15, 0.65)
    z = frame.left_dome_z - draw.uniform(30, 75)
    outer = ball(canvas, (x, y, z), (34 * size, 44 * size, 52 * size)) + draw.smooth(canvas.grid, 30) * 0.12
    hollow = ball(canvas, (x - 45 * size, y - 12, z - 5), (38 * size, 36 * size, 55 * size)) > 1
    spleen = (outer < 1) & hollow & canvas.abdomen & (canvas.radius < 1 - draw.uniform(0, 0.03))
    patchy = draw.smooth(canvas.grid, 9) * (draw.uniform(0, 35) if canvas.levels.artery > 200 else 4)
    if not draw.chance(0.04):
        canvas.fill(spleen, canvas.levels.spleen + patchy)


def paint_kidneys(canvas: Canvas, draw: Draw) -> Tensor:
    """Both kidneys in their fat, with pelvis and, at times, cysts, and the adrenals' place; the mask of kidneys and fat."""
    frame, levels = canvas.frame, canvas.levels
    whole = torch.zeros_like(canvas.body)
    for side in SIDES:
        if draw.chance(0.05):
            continue
        centre = (
            side * (frame.spine_radius + draw.uniform(26, 46)),
            frame.spine_y * draw.uniform(0.72, 1.0),
            draw.uniform(-75, -10) - (10 if side < 0 else 0),
        )
        radii = (draw.uniform(22, 31), draw.uniform(22, 31), draw.uniform(42, 62))
        field = ball(canvas, centre, radii) + draw.smooth(canvas.grid, 22) * 0.1
        place = canvas.cavity & (canvas.z < canvas.diaphragm_z - 3)
        capsule = (field < draw.uniform(1.0, 1.7)) & place
        canvas.fill(capsule, draw.uniform(-115, -90))
        kidney = (field < 1) & place
        canvas.fill(kidney, levels.cortex)
        canvas.fill(kidney & (field < 0.6) & (draw.smooth(canvas.grid, 12) > -0.3), levels.medulla)
        sinus = ball(canvas, (centre[0] - side * 10, centre[1] - 4, centre[2]), (13, 9, 22)) < 1
        canvas.fill(sinus & kidney, draw.uniform(-90, 20) if draw.chance(0.8) else draw.uniform(100, 900))
        if draw.chance(0.25):
            spot = (centre[0] + draw.uniform(-20, 20), centre[1] + draw.uniform(-20, 20), centre[2] + draw.uniform(-50, 50))
            cyst = (ball(canvas, spot, (draw.uniform(6, 28),) * 3) < 1) & place
            canvas.fill(cyst, draw.uniform(-5, 20))
            kidney = kidney | cyst
        whole |= kidney | capsule
    return whole


def paint_pancreas(canvas: Canvas, draw: Draw) -> None:
    """A lobulated band from the duodenum to the spleen's hilum, with the duodenum at its head."""
    x, y, z = canvas.x, canvas.y, canvas.z
    rise, depth, level = draw.uniform(0.1, 0.5), canvas.frame.cavity_depth * draw.uniform(0.05, 0.3), draw.uniform(-40, 5)
    thickness = draw.uniform(9, 17) * (1 + 0.25 * draw.smooth(canvas.grid, 20))
    arc = y - depth - 0.0015 * (x.abs() - 20) ** 2 * torch.sign(x).clamp(min=0)
    band = (squared(arc, z - level - rise * x) < thickness**2) & (x > -45) & (x < 90) & canvas.abdomen
    lobes = draw.smooth(canvas.grid, 7) > -draw.uniform(0.6, 2.5)
    canvas.fill(band & lobes, canvas.levels.wall + draw.uniform(-10, 25))
    tube = squared(x + draw.uniform(38, 60), y - depth - draw.uniform(-5, 15)) < draw.uniform(9, 18) ** 2
    duodenum = tube & (z < level + 15) & (z > level - 90) & canvas.abdomen
    canvas.fill(duodenum, canvas.levels.wall)
    canvas.fill(duodenum & (draw.smooth(canvas.grid, 15) > 0.2), draw.uniform(-20, 40) if draw.chance(0.8) else -950.0)


def paint_great_vessels(canvas: Canvas, draw: Draw) -> Tensor:
    """Aorta with calcified plaques and cava, which the liver embraces; the mask of the cava."""
    frame, levels, x, y, z = canvas.frame, canvas.levels, canvas.x, canvas.y, canvas.z
    front = frame.spine_y - frame.spine_radius
    sway = draw.uniform(5, 20) * torch.sin(z / draw.uniform(60, 140))
    aorta_x, aorta_y = draw.uniform(4, 18), front - draw.uniform(6, 16)
    radius = draw.uniform(8, 15)
    distance = squared(x - aorta_x - sway * 0.4, y - aorta_y).sqrt()
    aorta = (distance < radius) & canvas.cavity
    canvas.fill(aorta, levels.artery)
    plaque = aorta & (distance > radius - 3) & (draw.smooth(canvas.grid, 12) > draw.uniform(0.8, 3))
    canvas.fill(plaque, draw.uniform(200, 900))
    cava_x, cava_y = -draw.uniform(14, 32), front - draw.uniform(2, 22) - ((z - 20) / 100).clamp(0, 1) * draw.uniform(5, 25)
    flat = draw.uniform(0.6, 1.1)
    cava = squared((x - cava_x) * flat, y - cava_y) < draw.uniform(8, 14) ** 2
    cava = cava & canvas.cavity & (z < frame.dome_z + 40)
    mix = levels.hepatic if canvas.levels.artery < 200 or draw.chance(0.5) else (levels.cortex + levels.hepatic) / 2
    canvas.fill(cava, mix + draw.smooth(canvas.grid, 12) * draw.uniform(0, 15))
    return cava


def paint_table(canvas: Canvas, draw: Draw) -> None:
    """The table below the patient, at times arms beside and wires upon the body."""
    z, y, x = canvas.grid.axes_mm
    sign = -1.0 if canvas.frame.prone else 1.0
    rows = canvas.body.any(dim=2).any(dim=0).nonzero()
    lowest = float(y.view(-1)[int(rows[-1] if sign > 0 else rows[0])]) if len(rows) else canvas.frame.half_depth
    if draw.chance(0.85):
        below = (y - lowest) * sign - draw.uniform(0, 25) + x**2 * draw.uniform(0, 0.0016)
        depth = draw.uniform(4, 18)
        board = ((below > 0) & (below < depth) & (x.abs() < draw.uniform(160, 240))).expand(canvas.grid.shape) & ~canvas.body
        canvas.fill(board, draw.uniform(-950, -400))
        canvas.fill(board & ((below < 3) | (below > depth - 3)).expand(canvas.grid.shape), draw.uniform(-400, 200))
    if draw.chance(0.25):
        for side in SIDES:
            centre = side * (canvas.frame.half_width + draw.uniform(20, 45))
            arm = squared(x - centre - z * draw.uniform(-0.1, 0.1), y - draw.uniform(-30, 60)).sqrt()
            radius = draw.uniform(24, 42)
            limb = (arm < radius) & ~canvas.body
            canvas.fill(limb, draw.uniform(-100, -80))
            canvas.fill(limb & (arm < radius * 0.8), canvas.levels.muscle)
            canvas.fill(limb & (arm < radius * 0.3), draw.uniform(300, 900))
            canvas.body = canvas.body | limb
    if draw.chance(0.3):
        turns = torch.sin(x / draw.uniform(40, 90) + draw.uniform(0, math.tau)) * draw.uniform(10, 60) + draw.uniform(-60, 60)
        wire = ((z - turns).abs() < 2).expand(canvas.grid.shape) & (canvas.radius > 1.1) & (y < 0) & ~canvas.body
        canvas.fill(wire & (canvas.radius < 1.6), draw.uniform(-200, 1500))
