"""The soft tissue of the thorax phantom: chest wall, the space within the ribs, mediastinum with heart and great vessels."""

import math

import numpy as np
import torch
from torch import Tensor

from training.phantoms.fields import Draw
from training.phantoms.thorax_build import SIDES, Build, Canvas, squared


def paint_body(canvas: Canvas, draw: Draw, *, plain: bool) -> None:
    """Fat, muscles and the planes of fat between them; shoulders, neck, breasts, arms; finds the space within the ribs."""
    build, x, y, z = canvas.build, canvas.x, canvas.y, canvas.z
    power = draw.uniform(2.1, 2.9)
    waist = 1 - draw.uniform(0, 0.15) * ((z + 40) / 160).clamp(-1.3, 1.3) ** 2
    shoulder = torch.sigmoid((z - draw.uniform(65, 105)) / draw.uniform(12, 25))
    width = build.cage_width * waist + build.wall + build.fat + shoulder * draw.uniform(0, 70 if build.arms_down else 35)
    front = (build.cage_depth + build.wall * 0.7 + build.fat * 0.8) * (1 - draw.uniform(0.05, 0.4) * shoulder)
    back = build.cage_depth + build.wall + build.fat * 0.7 + draw.uniform(4, 16)
    depth = torch.where(y > 0, back, front)
    neck = squared(x / draw.uniform(55, 80), (y - 15) / draw.uniform(55, 75)) < 1
    neck_z = build.apex_z + draw.uniform(10, 60)
    canvas.body = torch.where(z > neck_z, neck, (x.abs() / width) ** power + (y.abs() / depth) ** power < 1)
    canvas.fill(canvas.body, draw.uniform(-118, -85))
    inside = (x.abs() / (width - build.fat)) ** power + (y.abs() / (depth - build.fat * 0.75)) ** power < 1
    canvas.inner = inside & canvas.body
    canvas.fill(canvas.inner, draw.uniform(30, 70))
    _find_cavity(canvas, waist, draw)
    planes = draw.smooth(canvas.grid, (draw.uniform(20, 50), draw.uniform(9, 20), draw.uniform(9, 20)))
    fatty = canvas.inner & (canvas.wall_mm > build.wall * 0.55) & (planes > draw.uniform(0.2, 1.4))
    canvas.fill(fatty, draw.uniform(-110, -70))
    if draw.chance(0.45) and not plain:
        _paint_breasts(canvas, draw)
    if build.arms_down:
        _paint_arms(canvas, draw)


def _find_cavity(canvas: Canvas, waist: Tensor, draw: Draw) -> None:
    """The space within the ribs: two sides that narrow to an apex each, high and behind."""
    build, z = canvas.build, canvas.z
    taper = ((z - build.apex_z + build.apex_height) / build.apex_height).clamp(0, 1)
    scale = (1 - taper ** draw.uniform(1.6, 3.2)).clamp(min=1e-3)
    lateral = (canvas.x.abs() - draw.uniform(25, 48) * taper).abs()
    y = canvas.y - taper * draw.uniform(0, 35)
    power = build.roundness
    radius = (lateral / (build.cage_width * waist * scale)) ** power + (y.abs() / (build.cage_depth * scale)) ** power
    canvas.cavity = (radius < 1) & (z < build.apex_z) & canvas.inner
    canvas.wall_mm = (radius ** (1 / power) - 1) * scale * (0.5 * (build.cage_width + build.cage_depth))


def _paint_breasts(canvas: Canvas, draw: Draw) -> None:
    build = canvas.build
    across, height, depth = draw.uniform(45, 75), draw.uniform(-30, 40), draw.uniform(20, 60)
    gland = draw.smooth(canvas.grid, 12) > draw.uniform(0.3, 1.5)
    for side in SIDES:
        x = canvas.x - side * (build.cage_width * draw.uniform(0.5, 0.68))
        y = canvas.y + (build.cage_depth + build.wall * 0.7) * draw.uniform(0.7, 0.95)
        breast = squared(x / across, y / depth, (canvas.z - height) / across) < 1
        outside = breast & ~canvas.inner
        canvas.fill(outside, draw.uniform(-115, -85))
        canvas.fill(outside & gland, draw.uniform(-20, 60))
        canvas.body = canvas.body | outside


def _paint_arms(canvas: Canvas, draw: Draw) -> None:
    build = canvas.build
    radius = draw.uniform(32, 48)
    reach = build.cage_width + build.wall + build.fat + radius + draw.uniform(-8, 12)
    for side in SIDES:
        axis = squared(canvas.x - side * reach, canvas.y - draw.uniform(-15, 40))
        arm = (axis < radius**2) & ~canvas.body & (canvas.z < build.apex_z + 20)
        canvas.fill(arm, draw.uniform(-110, -80))
        canvas.fill(arm & (axis < (radius - build.fat * 0.4 - 3) ** 2), draw.uniform(30, 65))
        bone = arm & (axis < draw.uniform(9, 13) ** 2)
        canvas.fill(bone, draw.uniform(500, 1200))
        canvas.fill(bone & (axis < 6**2), draw.uniform(-60, 150))
        canvas.body = canvas.body | arm


def paint_mediastinum(canvas: Canvas, draw: Draw) -> Tensor:
    """Where no lung is along the midline; paints the column of vessels and oesophagus in fat, heart and great vessels."""
    build, x, y, z = canvas.build, canvas.x, canvas.y, canvas.z
    fat_hu = draw.uniform(-110, 10)
    column = _column(canvas, draw)
    canvas.fill(column & canvas.cavity, fat_hu)
    heart = _paint_heart(canvas, fat_hu, draw)
    radius = build.spine_radius
    spine = squared(x / (radius * draw.uniform(1.15, 1.4)), (y - build.spine_y) / radius) < 1
    behind = y - build.spine_y - radius * draw.uniform(0.1, 0.9)
    muscles = (behind > 0) & (x.abs() < radius * draw.uniform(1.0, 1.5) + behind * draw.uniform(0.0, 0.7))
    canvas.fill((spine | muscles) & canvas.inner, draw.uniform(35, 65))
    crura = (z < build.base_z + draw.uniform(0, 40)) & (squared(x / 32, (y - build.spine_y + radius) / 26) < 1)
    return column | heart | spine | muscles | crura | _paint_great_vessels(canvas, draw)


def _column(canvas: Canvas, draw: Draw) -> Tensor:
    """Wide at the great vessels and the hila, narrow behind the heart; a thin sheet of fat towards the sternum."""
    build, y, z = canvas.build, canvas.y, canvas.z
    levels = [build.base_z - 30, build.base_z + 40, build.carina_z - 25, build.carina_z + 10, build.carina_z + 40, build.apex_z]
    widths = [draw.uniform(*pair) for pair in ((15, 30), (12, 24), (22, 38), (22, 36), (20, 34), (26, 46))]
    width = torch.from_numpy(np.interp(z.numpy(), levels, widths).astype(np.float32))
    front = draw.uniform(-45, -10)
    half = 0.5 * (build.spine_y - front) + 8
    round_off = (1 - ((y - 0.5 * (build.spine_y + front)) / half) ** 2).clamp(min=0).sqrt()
    uneven = 1 + 0.22 * draw.smooth(canvas.grid, 28)
    sheet = (y < front + half) * (draw.uniform(1, 14) + 10 * ((z - build.carina_z - 40) / 60).clamp(0, 1.5))
    bend = canvas.x - build.midline_x - draw.smooth(canvas.grid, (40, 60, 200)) * 4
    return bend.abs() < torch.maximum(width * round_off * uneven, sheet)


def _paint_heart(canvas: Canvas, fat_hu: float, draw: Draw) -> Tensor:
    """An ellipsoid that points to the left front, in fat, on the diaphragm; with contrast its chambers differ."""
    build = canvas.build
    turn = math.radians(draw.uniform(25, 60))
    x = canvas.x - build.midline_x - draw.uniform(8, 36)
    y = canvas.y + build.cage_depth * draw.uniform(0.18, 0.42)
    z = canvas.z - max(build.dome_z) - draw.uniform(10, 40)
    along = x * math.cos(turn) - y * math.sin(turn)
    across = x * math.sin(turn) + y * math.cos(turn)
    axes = draw.uniform(48, 76), draw.uniform(38, 55), draw.uniform(42, 68)
    radius = squared(along / axes[0], across / axes[1], (z + along * draw.uniform(0.1, 0.5)) / axes[2])
    fat = draw.uniform(1.0, 1.35) + 0.12 * draw.smooth(canvas.grid, 35)
    whole = (radius < fat) & (canvas.y > -build.cage_depth - 5)
    canvas.fill(whole & canvas.cavity, min(fat_hu, -60.0))
    muscle = (radius < 1) & canvas.cavity
    blood = build.blood_hu if build.contrast else draw.uniform(30, 55)
    canvas.fill(muscle, draw.uniform(60, 130) if build.contrast else blood + draw.uniform(0, 15))
    septum = (along - draw.uniform(-10, 25)).abs() > draw.uniform(3, 9)
    canvas.fill(muscle & (radius < draw.uniform(0.65, 0.92)) & septum, blood * draw.uniform(0.7, 1.0))
    return whole


def _paint_great_vessels(canvas: Canvas, draw: Draw) -> Tensor:
    """Descending aorta, arch and ascending aorta, superior vena cava, pulmonary trunk and its branches to the hila."""
    build, x, y, z = canvas.build, canvas.x - canvas.build.midline_x, canvas.y, canvas.z
    arch_z, size = build.carina_z + draw.uniform(12, 30), draw.uniform(9, 18)
    back_x, back_y = draw.uniform(12, 30), build.spine_y - draw.uniform(10, 28)
    front_x, front_y = draw.uniform(-22, -5), back_y - draw.uniform(55, 80)
    descending = (squared(x - back_x, y - back_y) < size**2) & (z < arch_z)
    ascending = (squared(x - front_x, y - front_y) < (size * 1.2) ** 2) & (z < arch_z) & (z > build.base_z + 40)
    share = ((y - front_y) / (back_y - front_y)).clamp(0, 1)
    span = 0.5 * (back_y - front_y)
    ring = squared((y - 0.5 * (front_y + back_y)) / span, (z - arch_z) / (span * draw.uniform(0.6, 0.9))).sqrt()
    arch = (squared(x - front_x - share * (back_x - front_x), (ring - 1) * span) < size**2) & (z > arch_z - 2)
    cava = (squared(x - front_x + draw.uniform(14, 24), y - front_y) < draw.uniform(7, 11) ** 2) & (z > 0)
    aorta = (descending | arch | ascending) & canvas.inner
    canvas.fill(aorta, build.blood_hu * draw.uniform(0.8, 1.0))
    canvas.fill(cava & canvas.inner & ~aorta, build.blood_hu * draw.uniform(0.8, 2.5 if build.contrast else 1.0))
    hila = _hila(canvas, build, draw) & canvas.inner & ~aorta
    canvas.fill(hila, build.blood_hu * draw.uniform(0.8, 1.1))
    return aorta | (cava & canvas.inner) | hila


def _hila(canvas: Canvas, build: Build, draw: Draw) -> Tensor:
    hila = torch.zeros_like(canvas.body)
    for side in SIDES:
        axes = draw.uniform(14, 26), draw.uniform(8, 14), draw.uniform(9, 20)
        x, y = canvas.x - build.midline_x - side * draw.uniform(25, 42), canvas.y - draw.uniform(-12, 12)
        hila |= squared(x / axes[0], y / axes[1], (canvas.z - build.carina_z + draw.uniform(15, 35)) / axes[2]) < 1
    return hila
