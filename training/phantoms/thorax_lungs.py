"""The lungs of the thorax phantom: parenchyma, fissures, fine vessels; trachea and main bronchi, which are no lung."""

import torch
from torch import Tensor

from training.phantoms.fields import Draw
from training.phantoms.thorax_build import SIDES, Canvas, squared
from training.phantoms.thorax_vessels import paint_trees


def paint_lungs(canvas: Canvas, draw: Draw, *, plain: bool) -> None:
    """Parenchyma with a gradient towards the back, fissures, trees of vessels and bronchi, finer vessels between them."""
    build, grid, lungs = canvas.build, canvas.grid, canvas.lungs
    level = _level_hu(draw, plain=plain)
    gradient = draw.uniform(0, 40) if plain else draw.uniform(-20, 110) * min(1.0, (level + 1000) / 120)
    texture = draw.smooth(grid, draw.uniform(12, 45)) * draw.uniform(3, 10 if plain else 30)
    texture += draw.smooth(grid, draw.uniform(5, 9)) * draw.uniform(2, 8 if plain else 20)
    canvas.fill(lungs, (texture + canvas.y * (gradient / build.cage_depth) + level).clamp_(min=-1015))
    _paint_fissures(canvas, draw)
    cell, width = draw.uniform(8, 16), draw.uniform(0.02, 0.12)
    fine = squared(draw.smooth(grid, cell), draw.smooth(grid, cell)) < width**2
    canvas.fill(fine & lungs, level + draw.uniform(80, 500))
    paint_trees(canvas, draw)


def _level_hu(draw: Draw, *, plain: bool) -> float:
    """Mean of the parenchyma: usual, dark (emphysema, deep inspiration) or dense (expiration, oedema)."""
    kind = draw.uniform(0, 1)
    if plain or kind < 0.5:
        return draw.uniform(-900, -820)
    return draw.uniform(-990, -895) if kind < 0.8 else draw.uniform(-830, -600)


def _paint_fissures(canvas: Canvas, draw: Draw) -> None:
    """The oblique fissure of either lung and the right one's horizontal fissure, thin and uneven; knows the lower lobes."""
    lower = torch.zeros_like(canvas.body)
    thickness = max(draw.uniform(0.5, 1.0), 0.4 * min(canvas.grid.spacing_mm))
    strength = draw.uniform(0, 300) * 0.5 / thickness
    for side, lung in zip(SIDES, (canvas.right_lung, canvas.left_lung), strict=True):
        slope, uneven = draw.uniform(0.6, 1.4), draw.smooth(canvas.grid, 60) * draw.uniform(2, 8)
        oblique = (canvas.z - draw.uniform(-15, 20) - canvas.y * slope + uneven) / (1 + slope**2) ** 0.5
        near = torch.exp(-((oblique / thickness) ** 2))
        if side < 0:
            level = canvas.z - canvas.build.carina_z + draw.uniform(10, 35) + uneven
            near = torch.maximum(near, torch.exp(-((level / thickness) ** 2)) * (oblique > 0))
        canvas.fill(lung, canvas.hu + near * strength)
        lower |= lung & (oblique < 0)
    canvas.lower_lobes = lower


def paint_airway(canvas: Canvas, draw: Draw, *, plain: bool) -> None:
    """Trachea, carina and main bronchi with their walls, at times gas in the oesophagus; none of it is lung."""
    build, x, y, z = canvas.build, canvas.x, canvas.y, canvas.z
    radius, carina = draw.uniform(5.5, 11), build.carina_z
    centre_x, centre_y = build.midline_x * draw.uniform(0.3, 1.0) + draw.uniform(-3, 8), draw.uniform(-8, 14)
    top = draw.uniform(170, 300)
    slope = draw.uniform(-0.12, 0.25)
    back = y - centre_y + (z - carina).clamp(min=0) * slope
    flatness = draw.uniform(0.8, 1.5)
    tube = squared((x - centre_x) * flatness**0.5, back / flatness**0.5)
    along = (z > carina - 2) & (z < top)
    lumen, wall = (tube < radius**2) & along, (tube < (radius + 2.5) ** 2) & along
    for side, steepness in ((-1, draw.uniform(0.5, 1.1)), (1, draw.uniform(0.9, 1.7))):
        branch, part = _main_bronchus(canvas, (centre_x, centre_y), side, steepness, draw)
        lumen |= (branch < (radius * 0.78) ** 2) & part
        wall |= (branch < (radius * 0.78 + 2.0) ** 2) & part
    lumen, wall = lumen & canvas.inner, wall & canvas.inner
    canvas.fill(wall & ~lumen, draw.uniform(-20, 60))
    canvas.fill(lumen, draw.uniform(-1005, -930))
    canvas.airway = lumen
    canvas.displace_lung(wall)
    _paint_oesophagus(canvas, draw, plain=plain)


def _main_bronchus(
    canvas: Canvas, centre: tuple[float, float], side: int, steepness: float, draw: Draw
) -> tuple[Tensor, Tensor]:
    """Squared distance from the axis of a main bronchus, and where it runs: from the carina to the hilum."""
    down = canvas.build.carina_z - canvas.z
    norm = (1 + steepness**2) ** 0.5
    branch = squared(
        (canvas.x - centre[0] - side * down * steepness) / norm, canvas.y - centre[1] - 3 - 0.15 * down.clamp(min=0)
    )
    reach = draw.uniform(26, 46) / norm
    return branch, (down > -5) & (down < reach)


def _paint_oesophagus(canvas: Canvas, draw: Draw, *, plain: bool) -> None:
    build = canvas.build
    if plain or draw.chance(0.6):
        return
    shift = draw.smooth(canvas.grid, (50, 300, 300)) * 4
    tube = squared(canvas.x - build.midline_x - draw.uniform(2, 14) + shift, canvas.y - build.spine_y + build.spine_radius + 9)
    gas = (tube < draw.uniform(3, 8) ** 2) & (draw.smooth(canvas.grid, (25, 300, 300)) > draw.uniform(-0.5, 1.0))
    canvas.fill(gas & canvas.inner & ~canvas.lungs, draw.uniform(-980, -400))
