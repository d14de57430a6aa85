"""One patient's proportions, pose and the picture under way.

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
    """The patient's proportions, in mm; half widths and depths from the midline.

    Attributes:
        cage_width, cage_depth: of the space within the ribs, where it is widest.
        roundness: exponent of the chest's superellipse.
        wall: ribs and muscles; fat: beneath the skin.
        apex_z, apex_height: top of the lungs, and over which height they narrow to it.
        dome_z: top of the right and the left half of the diaphragm.
        absent: side whose lung was removed or has collapsed; 0 for none.
    """

    cage_width: float
    cage_depth: float
    roundness: float
    wall: float
    fat: float
    apex_z: float
    apex_height: float
    dome_z: tuple[float, float]
    spine_radius: float
    spine_y: float
    midline_x: float
    carina_z: float
    blood_hu: float
    contrast: bool
    arms_down: bool
    absent: int

    @property
    def base_z(self) -> float:
        return min(self.dome_z)


@dataclass
class Canvas:
    """The picture under way: coordinates (deformed by pose and growth), HU and the masks later steps need.

    Attributes:
        inner: within the fat beneath the skin.
        cavity: the space within the ribs; wall_mm: about how far outside it a voxel lies, negative within.
    """

    grid: Grid
    build: Build
    x: Tensor
    y: Tensor
    z: Tensor
    hu: Tensor
    body: Tensor
    inner: Tensor
    cavity: Tensor
    wall_mm: Tensor
    right_lung: Tensor
    left_lung: Tensor
    airway: Tensor
    lower_lobes: Tensor

    @property
    def lungs(self) -> Tensor:
        return self.right_lung | self.left_lung

    def fill(self, mask: Tensor, value: float | Tensor) -> None:
        if isinstance(value, Tensor):
            self.hu = torch.where(mask, value, self.hu)
        else:
            self.hu.masked_fill_(mask, value)

    def displace_lung(self, mask: Tensor) -> None:
        """What lies in the mask is no longer lung."""
        self.right_lung, self.left_lung = self.right_lung & ~mask, self.left_lung & ~mask

    def voxel_at(self, x: float, y: float, z: float) -> list[int]:
        """Index of the voxel nearest to a point of the patient."""
        nearest = int(squared(self.x - x, self.y - y, self.z - z).argmin())
        _, rows, columns = self.grid.shape
        return [nearest // (rows * columns), nearest // columns % rows, nearest % columns]


def squared(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """Sum of squares; in place where it can be, large temporaries cost more than the arithmetic."""
    total = a**2
    for term in (b, c):
        if term is not None:
            total = total.add_(term**2) if term.shape == total.shape else total + term**2
    return total


def empty_canvas(grid: Grid, draw: Draw, *, plain: bool) -> Canvas:
    """Nothing but air around a patient yet to be painted."""
    build = _draw_build(draw, plain=plain)
    x, y, z = _posed_coordinates(grid, draw, plain=plain)
    nothing = torch.zeros(grid.shape, dtype=torch.bool)
    air = torch.full(grid.shape, -1000.0)
    return Canvas(grid, build, x, y, z, air, nothing, nothing, nothing, air, nothing, nothing, nothing, nothing)


def _draw_build(draw: Draw, *, plain: bool) -> Build:
    cage_width = draw.uniform(105, 150)
    cage_depth = min(112.0, cage_width * draw.uniform(0.56, 0.84))
    contrast = draw.chance(0.55) or plain
    spine_radius = draw.uniform(14, 21)
    absent = 0 if plain or draw.chance(0.94) else (-1 if draw.chance(0.5) else 1)
    dome = draw.uniform(-125, -55)
    raised = draw.uniform(30, 80) if draw.chance(0.1) and not plain else 0.0
    return Build(
        cage_width=cage_width,
        cage_depth=cage_depth,
        roundness=draw.uniform(1.9, 2.5),
        wall=draw.uniform(11, 22),
        fat=3 + 40 * draw.uniform(0, 1) ** 2,
        apex_z=draw.uniform(100, 140),
        apex_height=draw.uniform(90, 170),
        dome_z=(dome + raised, dome - draw.uniform(-8, 22))
        if draw.chance(0.6)
        else (dome, dome - draw.uniform(0, 20) + raised),
        spine_radius=spine_radius,
        spine_y=cage_depth - draw.uniform(16, 46),
        midline_x=draw.uniform(-7, 7) + absent * draw.uniform(15, 45),
        carina_z=draw.uniform(18, 48),
        blood_hu=draw.uniform(120, 220 if plain else 420) if contrast else draw.uniform(30, 60),
        contrast=contrast,
        arms_down=draw.chance(0.25) and not plain,
        absent=absent,
    )


def _posed_coordinates(grid: Grid, draw: Draw, *, plain: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Patient coordinates of every voxel: shift, size, rotation, tilt and a smooth deformation."""
    size = draw.uniform(0.95, 1.05) if plain else draw.uniform(0.78, 1.15)
    turn, tilt = (math.radians(draw.uniform(-reach, reach) * (0.2 if plain else 1)) for reach in (12, 8))
    shift = [draw.uniform(-reach, reach) * (0.1 if plain else 1) for reach in (50, 20, 20)]
    if draw.chance(0.12) and not plain:
        shift[0] = draw.uniform(60, 220)
    strength = draw.uniform(1, 7)
    z, y, x = (
        (axis - offset) / size + draw.smooth(grid, 45) * strength * 0.6
        for axis, offset in zip(grid.axes_mm, shift, strict=True)
    )
    turned_x = x * math.cos(turn) - y * math.sin(turn)
    turned_y = x * math.sin(turn) + y * math.cos(turn)
    tilted_z = z * math.cos(tilt) - turned_y * math.sin(tilt)
    tilted_y = turned_y * math.cos(tilt) + z * math.sin(tilt)
    return turned_x, tilted_y, tilted_z
