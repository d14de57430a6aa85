"""The organs of the thorax phantom, painted one over the other into a volume of HU.

Coordinates are patient LPS millimetres relative to a point in the mid chest: x to the left, y posterior, z to the head.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.phantoms.fields import Draw, Grid

SIDES = (-1, 1)
"""Right, left: the sign of x."""


@dataclass(frozen=True)
class Build:
    """The patient's proportions, in mm; half widths and depths from the midline."""

    half_width: float
    half_depth: float
    fat: float
    wall: float
    roundness: float
    apex_z: float
    apex_height: float
    base_z: float
    spine_radius: float
    spine_y: float
    midline_x: float
    cavity_depth: float
    blood_hu: float
    contrast: bool


@dataclass
class Canvas:
    """The picture under way: coordinates (deformed by pose and growth), HU and the masks later steps need."""

    grid: Grid
    build: Build
    x: Tensor
    y: Tensor
    z: Tensor
    hu: Tensor
    body: Tensor
    inner: Tensor
    wall_radius: Tensor
    right_lung: Tensor
    left_lung: Tensor
    airway: Tensor

    @property
    def lungs(self) -> Tensor:
        return self.right_lung | self.left_lung

    def fill(self, mask: Tensor, value: float | Tensor) -> None:
        if isinstance(value, Tensor):
            self.hu = torch.where(mask, value, self.hu)
        else:
            self.hu.masked_fill_(mask, value)


def paint_patient(grid: Grid, draw: Draw, *, plain: bool) -> Canvas:
    """Body, lungs, mediastinum, abdomen, airways and bones of one patient."""
    x, y, z = _posed_coordinates(grid, draw, plain=plain)
    build = _draw_build(draw, plain=plain)
    canvas = _empty_canvas(grid, build, x, y, z)
    paint_body(canvas, draw, plain=plain)
    cavity = thoracic_cavity(canvas, draw)
    mediastinum = paint_mediastinum(canvas, draw)
    above = paint_abdomen(canvas, cavity, mediastinum, draw, plain=plain)
    free = cavity & ~mediastinum & above
    right = x < build.midline_x
    canvas.right_lung, canvas.left_lung = free & right, free & ~right
    paint_great_vessels(canvas, draw)
    paint_lungs(canvas, draw, plain=plain)
    paint_airway(canvas, draw, plain=plain)
    paint_bones(canvas, draw)
    return canvas


def _posed_coordinates(grid: Grid, draw: Draw, *, plain: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Patient coordinates of every voxel: shift, size, rotation, tilt and a smooth deformation."""
    size = draw.uniform(0.95, 1.05) if plain else draw.uniform(0.72, 1.18)
    turn, tilt = (math.radians(draw.uniform(-reach, reach) * (0.2 if plain else 1)) for reach in (12, 8))
    shift = [draw.uniform(-reach, reach) * (0.1 if plain else 1) for reach in (60, 20, 20)]
    strength = draw.uniform(1, 8)
    z, y, x = (
        (axis - offset) / size + draw.smooth(grid, 45) * strength * 0.6
        for axis, offset in zip(grid.axes_mm, shift, strict=True)
    )
    turned_x = x * math.cos(turn) - y * math.sin(turn)
    turned_y = x * math.sin(turn) + y * math.cos(turn)
    tilted_z = z * math.cos(tilt) - turned_y * math.sin(tilt)
    tilted_y = turned_y * math.cos(tilt) + z * math.sin(tilt)
    return turned_x, tilted_y, tilted_z


def _draw_build(draw: Draw, *, plain: bool) -> Build:
    half_width = draw.uniform(130, 185)
    half_depth = half_width * draw.uniform(0.58, 0.80)
    fat, wall = draw.uniform(3, 30), draw.uniform(14, 30)
    cavity_depth = half_depth - fat * 0.8 - wall * 0.9
    contrast = draw.chance(0.55) or plain
    return Build(
        half_width=half_width,
        half_depth=half_depth,
        fat=fat,
        wall=wall,
        roundness=draw.uniform(2.0, 2.8),
        apex_z=draw.uniform(100, 145),
        apex_height=draw.uniform(55, 115),
        base_z=draw.uniform(-125, -70),
        spine_radius=draw.uniform(16, 25),
        spine_y=cavity_depth * draw.uniform(0.48, 0.82),
        midline_x=draw.uniform(-6, 6),
        cavity_depth=cavity_depth,
        blood_hu=draw.uniform(120, 220 if plain else 420) if contrast else draw.uniform(30, 60),
        contrast=contrast,
    )


def _empty_canvas(grid: Grid, build: Build, x: Tensor, y: Tensor, z: Tensor) -> Canvas:
    nothing = torch.zeros(grid.shape, dtype=torch.bool)
    air = torch.full(grid.shape, -1000.0)
    return Canvas(grid, build, x, y, z, air, nothing, nothing, air, nothing, nothing, nothing)


def _squared(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """Sum of squares; in place where it can be, large temporaries cost more than the arithmetic."""
    total = a**2
    for term in (b, c):
        if term is not None:
            total = total.add_(term**2) if term.shape == total.shape else total + term**2
    return total


def paint_body(canvas: Canvas, draw: Draw, *, plain: bool) -> None:
    """Skin, fat and the muscular inside; shoulders, neck, breasts, arms."""
    build, x, y, z = canvas.build, canvas.x, canvas.y, canvas.z
    arms_down = draw.chance(0.35)
    shoulder = torch.sigmoid((z - draw.uniform(75, 125)) / 18)
    width = build.half_width * (1 + 0.12 * torch.sin((z + 40) / 90)) + shoulder * draw.uniform(0, 55)
    depth = build.half_depth * (1 - draw.uniform(0.05, 0.3) * shoulder)
    power = draw.uniform(2.1, 3.0)
    neck_z = build.apex_z + draw.uniform(5, 60)
    neck = _squared(x / draw.uniform(55, 80), (y - 10) / draw.uniform(55, 75)) < 1
    canvas.body = torch.where(z > neck_z, neck, (x.abs() / width) ** power + (y.abs() / depth) ** power < 1)
    canvas.fill(canvas.body, draw.uniform(-115, -85))
    inside = (x.abs() / (width - build.fat)) ** power + (y.abs() / (depth - build.fat * 0.8)) ** power < 1
    canvas.inner = inside & canvas.body
    canvas.fill(canvas.inner, draw.uniform(35, 65))
    if draw.chance(0.4) and not plain:
        _paint_breasts(canvas, draw)
    if arms_down and not plain:
        _paint_arms(canvas, draw)


def _paint_breasts(canvas: Canvas, draw: Draw) -> None:
    build = canvas.build
    for side in SIDES:
        breast = _squared(
            (canvas.x - side * draw.uniform(60, 80)) / draw.uniform(45, 70),
            (canvas.y + build.half_depth * 0.95) / draw.uniform(30, 60),
            (canvas.z - draw.uniform(0, 40)) / draw.uniform(45, 70),
        )
        outside = (breast < 1) & ~canvas.inner
        canvas.fill(outside, draw.uniform(-110, -20))
        canvas.body = canvas.body | outside


def _paint_arms(canvas: Canvas, draw: Draw) -> None:
    for side in SIDES:
        x = canvas.x - side * (canvas.build.half_width + draw.uniform(35, 55))
        y = canvas.y - draw.uniform(-10, 40)
        radius = draw.uniform(35, 45)
        arm = (_squared(x, y) < radius**2) & ~canvas.body
        canvas.fill(arm, draw.uniform(20, 55))
        canvas.fill(arm & (_squared(x, y) < 12**2), draw.uniform(300, 900))
        canvas.body = canvas.body | arm


def thoracic_cavity(canvas: Canvas, draw: Draw) -> Tensor:
    """The space within the ribs: two sides that narrow to an apex each, high and behind."""
    build, x, y, z = canvas.build, canvas.x, canvas.y, canvas.z
    chest_width = build.half_width * (1 + 0.12 * torch.sin((z + 40) / 90))
    taper = ((z - build.apex_z + build.apex_height) / build.apex_height).clamp(0, 1)
    scale = (1 - taper ** draw.uniform(1.7, 3.2)).clamp(min=1e-3)
    lateral = (x.abs() - draw.uniform(28, 48) * taper).abs()
    y = y - taper * draw.uniform(0, 32)
    power = build.roundness
    reach_x = (chest_width - build.fat - build.wall) * scale
    canvas.wall_radius = (lateral / reach_x) ** power + (y.abs() / (build.cavity_depth * scale)) ** power
    return (canvas.wall_radius < 1) & (z < build.apex_z) & canvas.inner


def paint_mediastinum(canvas: Canvas, draw: Draw) -> Tensor:
    """Where no lung is along the midline: heart, vessels, spine and the muscles beside it; paints the heart."""
    build, x, y, z = canvas.build, canvas.x, canvas.y, canvas.z
    heart_x, heart_y, heart_z = draw.uniform(10, 38), -build.half_depth * draw.uniform(0.08, 0.35), draw.uniform(-75, -20)
    heart = (
        _squared(
            (x - heart_x) / draw.uniform(48, 80), (y - heart_y) / draw.uniform(40, 65), (z - heart_z) / draw.uniform(45, 78)
        )
        < 1
    )
    narrowing = 1 - draw.uniform(0.0, 0.8) * (-(y + 10) / build.half_depth).clamp(0, 1)
    width = draw.uniform(20, 42) * (1 - 0.35 * ((z + 20) / 120).clamp(-1, 1)) * narrowing + _wave(canvas, draw)
    middle = ((x - build.midline_x).abs() < width) & (y > -build.cavity_depth * draw.uniform(0.55, 1.0))
    canvas.fill(middle & canvas.inner, draw.uniform(-100, 45))
    canvas.fill(heart & canvas.inner, build.blood_hu * draw.uniform(0.7, 1.0) if build.contrast else draw.uniform(30, 55))
    radius = build.spine_radius
    spine = _squared(x / (radius * draw.uniform(1.1, 1.4)), (y - build.spine_y) / radius) < 1
    behind = y - build.spine_y - radius * draw.uniform(0.0, 0.9)
    muscles = (behind > 0) & (x.abs() < radius * draw.uniform(1.05, 1.8) + behind * draw.uniform(0.0, 0.8))
    return middle | heart | spine | muscles


def _wave(canvas: Canvas, draw: Draw) -> Tensor:
    """Uneven border of the mediastinum, mm."""
    return 6 * torch.sin(canvas.y / 25 + draw.uniform(0, 6)) + draw.smooth(canvas.grid, (40, 60, 200)) * 4


def paint_abdomen(canvas: Canvas, cavity: Tensor, mediastinum: Tensor, draw: Draw, *, plain: bool) -> Tensor:
    """Paints fat, liver, spleen, bowel under the diaphragm; where it returns true is above it."""
    build = canvas.build
    right = canvas.x < build.midline_x
    above = canvas.z > torch.where(right, _dome(canvas, draw, -1), _dome(canvas, draw, 1))
    abdomen = cavity & ~above & ~mediastinum
    canvas.fill(abdomen, draw.uniform(-110, 40))
    left_edge = build.half_width * draw.uniform(0.0, 0.35)
    canvas.fill(abdomen & (canvas.x < left_edge), draw.uniform(45, 120))
    spleen = abdomen & (canvas.x > build.half_width * 0.35) & (canvas.y > draw.uniform(-10, 30))
    canvas.fill(spleen, draw.uniform(45, 130))
    if draw.chance(0.8) and not plain:
        for _ in range(draw.count(1, 8)):
            _paint_bowel(canvas, abdomen, draw)
    return above


def _dome(canvas: Canvas, draw: Draw, side: int) -> Tensor:
    """Height of one half of the diaphragm, mm; deep recesses at the back and the side."""
    build = canvas.build
    top = build.base_z + draw.uniform(10, 65) + (draw.uniform(20, 90) if draw.chance(0.12) else 0)
    lateral = (canvas.x - side * build.half_width * draw.uniform(0.35, 0.5)) / (build.half_width * 0.75)
    sagittal = (canvas.y - draw.uniform(-35, 0)) / (build.half_depth * 0.95)
    return top - _squared(lateral, sagittal) * draw.uniform(60, 160)


def _paint_bowel(canvas: Canvas, abdomen: Tensor, draw: Draw) -> None:
    build = canvas.build
    radius = draw.uniform(8, 50)
    loop = _squared(
        (canvas.x - draw.uniform(-0.7, 0.75) * build.half_width) / (radius * draw.uniform(0.8, 1.8)),
        (canvas.y - draw.uniform(-0.6, 0.3) * build.half_depth) / radius,
        (canvas.z - build.base_z - draw.uniform(-60, 35)) / radius,
    )
    canvas.fill(abdomen & (loop < 1), draw.uniform(-1000, -700) if draw.chance(0.8) else draw.uniform(0, 60))


def paint_great_vessels(canvas: Canvas, draw: Draw) -> None:
    """Descending aorta, arch, superior vena cava, the pulmonary trunk's branches; they displace lung."""
    build, x, y, z = canvas.build, canvas.x, canvas.y, canvas.z
    aorta_x, aorta_y = draw.uniform(10, 26), build.spine_y - draw.uniform(14, 30)
    arch_z, arch_radius, thickness = draw.uniform(40, 65), draw.uniform(30, 42), draw.uniform(9, 15)
    descending = (_squared(x - aorta_x, y - aorta_y) < draw.uniform(10, 19) ** 2) & (z < arch_z)
    ring = torch.sqrt(_squared(y - draw.uniform(-8, 8), z - arch_z))
    arch = ((ring - arch_radius).abs() < thickness) & ((x - build.midline_x - 8).abs() < thickness + 2) & (z > arch_z)
    cava = (_squared(x - build.midline_x + draw.uniform(20, 30), y + draw.uniform(5, 25)) < draw.uniform(7, 11) ** 2) & (z > 0)
    vessels = (descending | arch | cava) & canvas.inner
    hilum_z = draw.uniform(-5, 30)
    for side in SIDES:
        hilum = _squared(
            (x - build.midline_x - side * draw.uniform(28, 45)) / draw.uniform(12, 26),
            (y - draw.uniform(-10, 12)) / draw.uniform(8, 14),
            (z - hilum_z) / draw.uniform(10, 22),
        )
        vessels |= (hilum < 1) & canvas.inner
    canvas.fill(vessels, build.blood_hu)
    canvas.right_lung, canvas.left_lung = canvas.right_lung & ~vessels, canvas.left_lung & ~vessels


def paint_lungs(canvas: Canvas, draw: Draw, *, plain: bool) -> None:
    """Parenchyma with a gradient towards the back, vessels thinner and rarer with distance from the hila."""
    build, grid, lungs = canvas.build, canvas.grid, canvas.lungs
    wide = draw.chance(0.6) and not plain
    level = draw.uniform(-960, -650) if wide else draw.uniform(-910, -840)
    gradient = draw.uniform(0, 40) if plain else draw.uniform(-20, 110)
    texture = draw.smooth(grid, draw.uniform(12, 35)) * draw.uniform(3, 10 if plain else 35)
    canvas.fill(lungs, texture + canvas.y * (gradient / build.half_depth) + level)
    hilar = torch.exp(-((((canvas.x - build.midline_x).abs() - 35) / 70).clamp(min=0) ** 2))
    loss = 200 if grid.spacing_mm[1] > 2 else 60
    cells = ((16, 26, 0.08, 0.26), (10, 15, 0.08, 0.26), (5.5, 8, 0.06, 0.27), (3.2, 4.2, 0.1, 0.2))
    for low, high, thin, thick in cells[: 3 if min(grid.spacing_mm) > 2 else 4]:
        cell, width = draw.uniform(low, high), draw.uniform(thin, thick)
        tree = _squared(draw.smooth(grid, cell), draw.smooth(grid, cell)) < (width * (0.5 + hilar)) ** 2
        canvas.fill(tree & lungs, build.blood_hu * draw.uniform(0.3, 1.0) - draw.uniform(0, loss))


def paint_airway(canvas: Canvas, draw: Draw, *, plain: bool) -> None:
    """Trachea, carina and main bronchi with their walls, at times gas in the oesophagus; none of it is lung."""
    build, x, y, z = canvas.build, canvas.x, canvas.y, canvas.z
    radius, centre_x, centre_y = draw.uniform(6, 12), build.midline_x + draw.uniform(-5, 9), draw.uniform(-8, 18)
    carina, top = draw.uniform(12, 48), draw.uniform(150, 300)
    slope = draw.uniform(-0.12, 0.25)
    back = y - centre_y + (z - carina).clamp(min=0) * slope
    tube = _squared(x - centre_x, back) + 0 * z
    lumen, wall = (tube < radius**2) & (z > carina) & (z < top), (tube < (radius + 2.5) ** 2) & (z > carina) & (z < top)
    for side, steepness in ((-1, draw.uniform(0.6, 1.3)), (1, draw.uniform(0.9, 1.7))):
        axis_x = x - centre_x - side * (carina - z) * steepness
        branch = _squared(axis_x * 0.77, y - centre_y - 5)
        part = (z <= carina + 4) & (z > carina - draw.uniform(22, 45))
        lumen |= (branch < (radius * 0.75) ** 2) & part
        wall |= (branch < (radius * 0.75 + 2.5) ** 2) & part
    lumen, wall = lumen & canvas.inner, wall & canvas.inner
    canvas.fill(wall & ~canvas.lungs, draw.uniform(20, 60))
    canvas.fill(lumen, draw.uniform(-1000, -930))
    canvas.airway = lumen
    canvas.right_lung, canvas.left_lung = canvas.right_lung & ~lumen, canvas.left_lung & ~lumen
    if draw.chance(0.3) and not plain:
        oesophagus = _squared(x - build.midline_x - 8, y - centre_y - 22) < draw.uniform(3, 7) ** 2
        canvas.fill(oesophagus & canvas.inner & ~canvas.lungs, draw.uniform(-950, -300))


def paint_bones(canvas: Canvas, draw: Draw) -> None:
    """Ribs, vertebrae with canal and discs, sternum, clavicles, scapulae."""
    build, x, y, z = canvas.build, canvas.x, canvas.y, canvas.z
    grain = draw.smooth(canvas.grid, 6)
    shell = (canvas.wall_radius > 1.02) & (canvas.wall_radius < 1.0 + draw.uniform(0.10, 0.22)) & canvas.inner
    phase = (z + (y + build.half_depth) * draw.uniform(0.35, 0.6)) / draw.uniform(22, 30) * 2 * math.pi
    ribs = shell & (torch.sin(phase + draw.uniform(0, 6)) > draw.uniform(0.15, 0.5)) & (z < build.apex_z + 10) & (x.abs() > 18)
    canvas.fill(ribs & (z > build.base_z - 60), grain * 120 + draw.uniform(150, 700))
    _paint_spine(canvas, draw, grain)
    sternum = (x.abs() < 18) & (y < -build.cavity_depth - 3) & (z < 90) & (z > -30) & canvas.inner
    canvas.fill(sternum, draw.uniform(100, 400))
    if draw.chance(0.7):
        slope, level = draw.uniform(0.1, 0.5), build.apex_z - draw.uniform(0, 45)
        clavicle = _squared(y + build.cavity_depth * draw.uniform(0.3, 0.8) - x.abs() * 0.3, z - level - x.abs() * slope) < 8**2
        canvas.fill(clavicle & canvas.inner & (x.abs() > 15) & ~canvas.lungs, draw.uniform(250, 800))
    if draw.chance(0.6):
        for side in SIDES:
            blade = ((x - side * build.half_width * 0.62) * 0.8 + (y - build.half_depth * 0.75) * 0.6 * side).abs() < 5
            where = blade & (z > 20) & (z < 120) & (canvas.wall_radius > 1.12) & (y > build.half_depth * 0.3)
            canvas.fill(where & canvas.inner & ~canvas.lungs, draw.uniform(200, 700))


def _paint_spine(canvas: Canvas, draw: Draw, grain: Tensor) -> None:
    build, x, z = canvas.build, canvas.x, canvas.z
    back = canvas.y - build.spine_y
    radius = build.spine_radius
    vertebra = (_squared(x / 1.25, back) < (radius - 1) ** 2) & canvas.inner
    canvas.fill(vertebra, grain * 60 + draw.uniform(120, 260))
    disc = vertebra & (torch.sin(z / draw.uniform(26, 34) * 2 * math.pi) > 0.85)
    canvas.fill(disc, draw.uniform(50, 120))
    arch = (_squared(x / 1.3, back - radius - 6) < 15**2) & (back > radius - 4) & canvas.inner
    spur = (x.abs() < 4) & (back > radius + 10) & (back < radius + 45) & (torch.sin(z / 30 * 2 * math.pi) > 0)
    canvas.fill((arch | spur) & canvas.inner & ~canvas.lungs, draw.uniform(200, 600))
    canvas.fill((_squared(x, back - radius - 6) < 8**2) & canvas.inner, draw.uniform(0, 40))


def paint_surroundings(canvas: Canvas, draw: Draw) -> None:
    """The table, at times a cushion, and wires or markers on the patient."""
    grid, build = canvas.grid, canvas.build
    _, y, x = grid.axes_mm
    lowest = canvas.body.any(dim=2).any(dim=0).nonzero()
    back_mm = float(y.view(-1)[int(lowest[-1])]) if len(lowest) else build.half_depth
    if draw.chance(0.85):
        below = y - back_mm - draw.uniform(0, 15) + x**2 * draw.uniform(0, 0.0016)
        depth, half = draw.uniform(4, 18), draw.uniform(180, 240)
        board = ((below > 0) & (below < depth) & (x.abs() < half)).expand(grid.shape) & ~canvas.body
        canvas.fill(board, draw.uniform(-900, -300))
        skin = ((below < 3) | (below > depth - 3)).expand(grid.shape)
        canvas.fill(board & skin, draw.uniform(-300, 300))
        cushion = ((below < 0) & (below > -draw.uniform(6, 25)) & (x.abs() < half * 0.8)).expand(grid.shape) & ~canvas.body
        if draw.chance(0.5):
            canvas.fill(cushion, draw.uniform(-980, -820))
    if draw.chance(0.4):
        for _ in range(draw.count(1, 4)):
            _paint_metal(canvas, draw)


def _paint_metal(canvas: Canvas, draw: Draw) -> None:
    places = [int(draw.uniform(0.1, 0.9) * count) for count in canvas.grid.shape]
    radius = draw.uniform(1.5, 7)
    box = canvas.grid.box(places, radius)
    z, y, x = canvas.grid.axes_mm
    centre = z[places[0]], y[0, places[1]], x[0, 0, places[2]]
    ball = _squared(z[box[0]] - centre[0], y[:, box[1]] - centre[1], x[:, :, box[2]] - centre[2]) < radius**2
    canvas.hu[box][ball & canvas.body[box] & ~canvas.lungs[box]] = draw.uniform(500, 3000)
