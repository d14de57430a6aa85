"""Body, chest base and bones of the abdomen phantom, and the coordinates that everything else is painted in.

Coordinates are patient LPS millimetres relative to a point in the upper abdomen: x to the left, y posterior, z to the head.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.phantoms.fields import Draw, Grid

SIDES = (-1, 1)
"""Right, left: the sign of x."""


@dataclass(frozen=True)
class Frame:
    """The patient's proportions, in mm; half widths and depths from the midline, of the body and of the cavity.

    Attributes:
        prone: the table lies in front, gas rises to the back.
        dome_z: height of the right dome of the diaphragm.
    """

    half_width: float
    half_depth: float
    cavity_width: float
    cavity_depth: float
    power: float
    dome_z: float
    left_dome_z: float
    spine_y: float
    spine_radius: float
    prone: bool


@dataclass(frozen=True)
class Enhancement:
    """HU of what contrast medium changes, in one phase (native, arterial, portal or late)."""

    liver: float
    spleen: float
    cortex: float
    medulla: float
    artery: float
    portal: float
    hepatic: float
    muscle: float
    wall: float


@dataclass
class Canvas:
    """The picture under way: coordinates (deformed by pose and growth), HU and the masks later steps need."""

    grid: Grid
    frame: Frame
    levels: Enhancement
    x: Tensor
    y: Tensor
    z: Tensor
    hu: Tensor
    body: Tensor
    cavity: Tensor
    radius: Tensor
    diaphragm_z: Tensor

    @property
    def abdomen(self) -> Tensor:
        """Within the wall and below the diaphragm."""
        return self.cavity & (self.z < self.diaphragm_z)

    def fill(self, mask: Tensor, value: float | Tensor) -> None:
        if isinstance(value, Tensor):
            self.hu = torch.where(mask, value, self.hu)
        else:
            self.hu.masked_fill_(mask, value)


def squared(*terms: Tensor) -> Tensor:
    """Sum of squares, broadcast."""
    total = terms[0] ** 2
    for term in terms[1:]:
        total = total + term**2
    return total


def ball(canvas: Canvas, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Tensor:
    """Squared distance from the centre (x, y, z) in units of the radii: below 1 inside the ellipsoid."""
    return squared(*((a - c) / r for a, c, r in zip((canvas.x, canvas.y, canvas.z), centre, radii, strict=True)))


def paint_frame(grid: Grid, draw: Draw, centre_mm: tuple[float, float]) -> Canvas:
    """Body, wall, fat, lungs, heart, spine and ribs of one patient; the abdomen is still empty fat.

    Args:
        grid: to paint on.
        draw: the patient's choices.
        centre_mm: x and z of the patient at the grid's centre.
    """
    frame, levels = _draw_frame(draw), _draw_levels(draw)
    x, y, z = _posed(grid, draw, centre_mm)
    canvas = _body(grid, frame, levels, (x, y, z), draw)
    _paint_wall(canvas, draw)
    _paint_chest(canvas, draw)
    _paint_spine(canvas, draw)
    _paint_ribs(canvas, draw)
    return canvas


def _posed(grid: Grid, draw: Draw, centre_mm: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Patient coordinates of every voxel: position, size, rotation, tilt and a smooth deformation."""
    size = draw.uniform(0.86, 1.14)
    turn, tilt = (math.radians(draw.uniform(-reach, reach)) for reach in (9, 8))
    shift = [draw.uniform(-8, 8), draw.uniform(-20, 20), draw.uniform(-20, 20)]
    cell, strength = draw.uniform(45, 90), draw.uniform(1, 8)
    z, y, x = (
        (axis - offset) / size + draw.smooth(grid, cell) * strength for axis, offset in zip(grid.axes_mm, shift, strict=True)
    )
    x, z = x + centre_mm[0], z + centre_mm[1]
    turned_x = x * math.cos(turn) - y * math.sin(turn)
    turned_y = x * math.sin(turn) + y * math.cos(turn)
    return turned_x, turned_y * math.cos(tilt) + z * math.sin(tilt), z * math.cos(tilt) - turned_y * math.sin(tilt)


def _draw_frame(draw: Draw) -> Frame:
    fat, wall = draw.uniform(1.5, 6.5) ** 2, draw.uniform(9, 22)
    cavity_width = draw.uniform(112, 158)
    cavity_depth = cavity_width * draw.uniform(0.62, 0.95)
    dome = draw.uniform(60, 110)
    return Frame(
        half_width=cavity_width + wall + fat,
        half_depth=cavity_depth + wall + fat * draw.uniform(0.4, 0.9),
        cavity_width=cavity_width,
        cavity_depth=cavity_depth,
        power=draw.uniform(2.0, 2.7),
        dome_z=dome,
        left_dome_z=dome - draw.uniform(-10, 35),
        spine_y=cavity_depth * draw.uniform(0.62, 0.9),
        spine_radius=draw.uniform(17, 26),
        prone=draw.chance(0.05),
    )


def _draw_levels(draw: Draw) -> Enhancement:
    """HU in one of the phases; a quarter of the livers hold fat, a few iron."""
    phase = ("native", "arterial", "portal", "portal", "late")[draw.count(0, 4)]
    ranges = {
        "native": ((45, 68), (38, 56), (25, 40), (25, 40), (32, 50), (32, 50), (32, 50), (42, 65), (25, 50)),
        "arterial": ((50, 95), (80, 170), (120, 240), (45, 110), (180, 420), (60, 160), (40, 90), (50, 70), (50, 120)),
        "portal": ((85, 145), (95, 155), (140, 230), (110, 220), (110, 200), (130, 210), (120, 200), (52, 80), (60, 120)),
        "late": ((75, 115), (75, 115), (100, 180), (100, 200), (80, 125), (85, 130), (85, 130), (50, 75), (50, 90)),
    }[phase]
    liver, *others = (draw.uniform(*span) for span in ranges)
    if draw.chance(0.25):
        liver -= draw.uniform(10, 65)
    elif draw.chance(0.06):
        liver += draw.uniform(15, 40)
    return Enhancement(liver, *others)


def _body(grid: Grid, frame: Frame, levels: Enhancement, place: tuple[Tensor, Tensor, Tensor], draw: Draw) -> Canvas:
    x, y, z = place
    flare = 1 + draw.uniform(-0.12, 0.12) * torch.tanh(z / 120) + draw.uniform(-0.05, 0.05) * torch.sin(z / 60)
    back = draw.uniform(0.8, 1.0)
    depth = torch.where(y > 0, back, 1.0) * flare

    def superellipse(width: float, height: float, power: float) -> Tensor:
        ratio = (x / (width * flare)).abs() ** power + (y / (height * depth)).abs() ** power
        return ratio ** (1 / power)

    outer = superellipse(frame.half_width, frame.half_depth, draw.uniform(2.1, 2.8))
    inner = superellipse(frame.cavity_width, frame.cavity_depth, frame.power)
    body = outer + 0.02 * draw.smooth(grid, 50) < 1
    cavity = inner < 1
    hu = torch.full(grid.shape, -1000.0)
    fat = draw.uniform(-118, -88)
    hu = torch.where(body, fat + draw.smooth(grid, 12) * draw.uniform(2, 12), hu)
    hu = torch.where(body & (outer > 1 - 2.5 / frame.half_width), draw.uniform(0, 50), hu)
    return Canvas(grid, frame, levels, x, y, z, hu, body, cavity & body, inner, _diaphragm(x, y, frame, draw))


def _diaphragm(x: Tensor, y: Tensor, frame: Frame, draw: Draw) -> Tensor:
    """Height of the diaphragm at each (x, y): two domes that fall off to the wall, most towards the back."""
    domes = []
    drop, recess, steep = draw.uniform(25, 60), draw.uniform(10, 70), draw.uniform(1.1, 2.0)
    for side, top in ((-1, frame.dome_z), (1, frame.left_dome_z)):
        across = (x - side * frame.cavity_width * draw.uniform(0.38, 0.52)) / (frame.cavity_width * draw.uniform(0.55, 0.7))
        along = (y - frame.cavity_depth * draw.uniform(-0.2, 0.15)) / (frame.cavity_depth * draw.uniform(0.85, 1.1))
        domes.append(top - drop * squared(across, along) ** steep)
    behind = (y / frame.cavity_depth).clamp(min=0) ** 3 * recess
    return torch.logsumexp(torch.stack(domes) / 10, 0) * 10 - behind


def _paint_wall(canvas: Canvas, draw: Draw) -> None:
    """Muscle around the cavity with fat between its layers, long muscles of the back, visceral fat inside."""
    frame, x, y = canvas.frame, canvas.x, canvas.y
    muscle = canvas.levels.muscle + draw.smooth(canvas.grid, 9) * draw.uniform(2, 12)
    thickness = draw.uniform(0.08, 0.16)
    ring = (canvas.radius < 1 + thickness) & canvas.body
    canvas.fill(ring, muscle)
    layers = ring & (draw.smooth(canvas.grid, (60, 18, 18)).abs() < draw.uniform(0, 0.14))
    canvas.fill(layers, -90.0)
    for side in SIDES:
        back = squared(
            (x - side * draw.uniform(28, 42)) / draw.uniform(24, 36), (y - frame.spine_y - 38) / draw.uniform(18, 30)
        )
        canvas.fill((back < 1) & canvas.body, muscle)
    fat = draw.uniform(-118, -85)
    canvas.fill(canvas.cavity, fat + draw.smooth(canvas.grid, 15) * draw.uniform(2, 18))


def _paint_chest(canvas: Canvas, draw: Draw) -> None:
    """Lungs above the diaphragm, the heart upon it, effusion at times; the diaphragm itself is thin muscle."""
    frame, x, y, z = canvas.frame, canvas.x, canvas.y, canvas.z
    above = canvas.cavity & (z > canvas.diaphragm_z)
    canvas.fill(above, draw.uniform(-900, -720) + draw.smooth(canvas.grid, 14) * draw.uniform(5, 60))
    vessels = (squared(draw.smooth(canvas.grid, 16), draw.smooth(canvas.grid, 16)) < 0.03) & above
    canvas.fill(vessels, draw.uniform(-300, 60))
    if draw.chance(0.3):
        basal = above & (z < canvas.diaphragm_z + draw.uniform(4, 40) * (0.6 + draw.smooth(canvas.grid, 40)))
        canvas.fill(basal & (y > draw.uniform(-20, 50)), draw.uniform(-250, 70))
    if draw.chance(0.2):
        canvas.fill(above & (y > frame.cavity_depth * draw.uniform(0.2, 0.7)), draw.uniform(0, 25))
    axis = squared((x - draw.uniform(-8, 12)) / draw.uniform(22, 42), (y - frame.cavity_depth * 0.25) / draw.uniform(25, 60))
    canvas.fill(above & (axis < 1), draw.uniform(-100, 60) + draw.smooth(canvas.grid, 15) * 40)
    _paint_heart(canvas, above, draw)
    skin = canvas.cavity & ((z - canvas.diaphragm_z).abs() < draw.uniform(1, 3.5))
    canvas.fill(skin, canvas.levels.muscle)


def _paint_heart(canvas: Canvas, above: Tensor, draw: Draw) -> None:
    """Muscle around enhancing chambers within a fatty or bare pericardium; it rests on the diaphragm above the left liver."""
    frame = canvas.frame
    radii = (draw.uniform(45, 72), draw.uniform(36, 58), draw.uniform(40, 65))
    x, y = draw.uniform(2, 38), -frame.cavity_depth * draw.uniform(0.15, 0.5)
    z = frame.dome_z + radii[2] * draw.uniform(0.35, 0.85) - draw.uniform(5, 25)
    distance = ball(canvas, (x, y, z), radii) + draw.smooth(canvas.grid, 40) * 0.12
    canvas.fill(above & (distance < draw.uniform(1.05, 1.5)), draw.uniform(-110, -60))
    canvas.fill(above & (distance < 1), canvas.levels.muscle + draw.uniform(0, 60))
    blood = draw.uniform(0.7, 1.0) * canvas.levels.artery
    chambers = (distance < draw.uniform(0.6, 0.95)) & (draw.smooth(canvas.grid, 35) > -draw.uniform(0.0, 1.0))
    canvas.fill(above & chambers, max(blood, canvas.levels.hepatic * draw.uniform(0.8, 1.1)))


def _paint_spine(canvas: Canvas, draw: Draw) -> None:
    frame, x, z = canvas.frame, canvas.x, canvas.z
    back = canvas.y - frame.spine_y
    grain = draw.smooth(canvas.grid, 6) * draw.uniform(20, 70)
    radius = frame.spine_radius
    vertebra = (squared(x / 1.25, back) < radius**2) & canvas.body
    canvas.fill(vertebra, grain + draw.uniform(110, 280))
    canvas.fill(vertebra & (torch.sin(z / draw.uniform(28, 36) * 2 * math.pi) > 0.8), draw.uniform(50, 120))
    rim = (squared(x / 1.25, back) > (radius - 3) ** 2) & vertebra
    canvas.fill(rim, draw.uniform(200, 500))
    arch = (squared(x / 1.4, back - radius - 8) < 15**2) & (back > radius - 3) & canvas.body
    spur = (x.abs() < 4.5) & (back > radius + 10) & (back < radius + 42) & (torch.sin(z / 32 * 2 * math.pi) > -0.2)
    process = ((back - radius - 2).abs() < 5) & (x.abs() < 40) & (torch.sin(z / 32 * 2 * math.pi) > 0.4)
    canvas.fill((arch | spur | process) & canvas.body, grain + draw.uniform(220, 500))
    canvas.fill((squared(x, back - radius - 8) < 8.5**2) & canvas.body, draw.uniform(5, 45))
    for side in SIDES:
        wide = (60 - z).clamp(0, 130) / 130
        psoas = squared((x - side * (radius + 14)) / 17, (back + 2) / 20) < wide * draw.uniform(0.6, 1.5)
        canvas.fill(psoas & canvas.body & ~vertebra & (z < 20), canvas.levels.muscle)
        crus = squared((x - side * draw.uniform(8, 20)) / draw.uniform(6, 12), (back + radius + 4) / draw.uniform(6, 12)) < 1
        canvas.fill(crus & (z < frame.dome_z - 20) & (z > -80) & canvas.body & ~vertebra, canvas.levels.muscle)


def _paint_ribs(canvas: Canvas, draw: Draw) -> None:
    """Slanting ribs down to the costal margin, at the front cartilage and sternum; wings of the pelvis far below."""
    frame, x, y, z = canvas.frame, canvas.x, canvas.y, canvas.z
    shell = (canvas.radius > 1.01) & (canvas.radius < 1.0 + draw.uniform(0.07, 0.13)) & canvas.body
    phase = (z + (y + frame.half_depth) * draw.uniform(0.3, 0.65)) / draw.uniform(22, 30) * 2 * math.pi
    margin = -draw.uniform(20, 70) + (x.abs() < 60) * (y < 0) * draw.uniform(40, 110)
    bars = shell & (torch.sin(phase + draw.uniform(0, 6)) > draw.uniform(0.2, 0.6)) & (z > margin) & (x.abs() > 22)
    canvas.fill(bars, draw.uniform(200, 600) + draw.smooth(canvas.grid, 6) * 90)
    front = bars & (y < -frame.cavity_depth * draw.uniform(0.45, 0.75))
    canvas.fill(front, draw.uniform(60, 180))
    sternum = (x.abs() < 17) & (y < -frame.cavity_depth * 0.95) & (z > draw.uniform(40, 90)) & shell
    canvas.fill(sternum, draw.uniform(90, 300))
    for side in SIDES:
        wing = ((x - side * frame.cavity_width * 0.8) * 0.75 + (y - frame.cavity_depth * 0.3) * side * 0.65).abs() < 7
        place = wing & (z < -150) & (x * side > 40) & (y > -20)
        canvas.fill(place & canvas.body, draw.uniform(200, 500))
