"""Vessel trees and the bronchi beside them, as tapering tubes between points."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from training.phantoms.fields import Draw, Grid

Point = Float64[np.ndarray, "3"]
THINNEST_MM = 0.3
MOST_PIECES = 150


@dataclass(frozen=True, slots=True)
class Tube:
    """A straight piece: from one point to another (z, y, x in mm), with the radius at both."""

    start: Point
    stop: Point
    start_radius_mm: float
    stop_radius_mm: float


def grow_tree(root: Point, direction: Point, radius_mm: float, reach_mm: float, draw: Draw) -> list[Tube]:
    """A branching tree; radii follow Murray's law. It ends where tubes get thin or leave the ball of the reach."""
    tubes: list[Tube] = []
    ends = [(root, direction, radius_mm)]
    while ends and len(tubes) < MOST_PIECES:
        point, way, radius = ends.pop(0)
        length = min(28.0, max(6.0, radius * draw.uniform(7, 15)))
        thin = radius * draw.uniform(0.85, 0.97)
        for piece in range(3):
            way = _turned(way, draw.uniform(0, 0.28), draw)
            stop = point + way * length / 3
            tubes.append(Tube(point, stop, radius + (thin - radius) * piece / 3, radius + (thin - radius) * (piece + 1) / 3))
            point = stop
        if np.linalg.norm(point) > reach_mm:
            continue
        first = thin * draw.uniform(0.62, 0.97)
        second = max(thin**3 - first**3, 0.0) ** (1 / 3)
        for child, angle in ((first, draw.uniform(0.05, 0.6)), (second, draw.uniform(0.4, 1.3))):
            if child > THINNEST_MM:
                ends.append((point, _turned(way, angle, draw), child))
    return tubes


def _turned(way: Point, angle: float, draw: Draw) -> Point:
    """The direction tilted by the angle (radians) to a random side."""
    side = draw.white((3,)).numpy().astype(np.float64)
    side -= way * (side @ way)
    turned = way * math.cos(angle) + side / (np.linalg.norm(side) + 1e-9) * math.sin(angle)
    return np.asarray(turned / np.linalg.norm(turned))


def paint_tubes(cover: Tensor, tubes: list[Tube], grid: Grid, *, grow_mm: float = 0.0, scale: float = 1.0) -> None:
    """Raise the coverage (0..1) of voxels by the tubes; thinner than a voxel, they cover it in part."""
    step = max(grid.spacing_mm)
    for tube in tubes:
        radii = tube.start_radius_mm * scale + grow_mm, tube.stop_radius_mm * scale + grow_mm
        box = _box(tube, max(radii) + step, grid)
        if box is None:
            continue
        z, y, x = (axis[part] for axis, part in zip(_lines(grid), box, strict=True))
        delta = tube.stop - tube.start
        rel = z.view(-1, 1, 1) - tube.start[0], y.view(1, -1, 1) - tube.start[1], x.view(1, 1, -1) - tube.start[2]
        along = (rel[0] * delta[0] + rel[1] * delta[1] + rel[2] * delta[2]) / float(delta @ delta)
        share = along.clamp(0, 1)
        square = sum((axis - share * float(d)) ** 2 for axis, d in zip(rel, delta, strict=True))
        radius = radii[0] + share * (radii[1] - radii[0])
        value = ((radius - torch.as_tensor(square).sqrt()) / step + 0.5).clamp(0, 1) * (2 * radius / step).clamp(max=1)
        cover[box] = torch.maximum(cover[box], value.float())


def _lines(grid: Grid) -> list[Tensor]:
    return [axis.view(-1) for axis in grid.axes_mm]


def _box(tube: Tube, margin: float, grid: Grid) -> tuple[slice, slice, slice] | None:
    parts = []
    for axis in range(3):
        low = min(tube.start[axis], tube.stop[axis]) - margin
        high = max(tube.start[axis], tube.stop[axis]) + margin
        centre, step, count = (grid.shape[axis] - 1) / 2, grid.spacing_mm[axis], grid.shape[axis]
        first, last = max(0, math.floor(low / step + centre)), min(count, math.ceil(high / step + centre) + 1)
        if first >= last:
            return None
        parts.append(slice(first, last))
    return parts[0], parts[1], parts[2]


def beside(tubes: list[Tube], draw: Draw) -> list[Tube]:
    """The bronchi that run beside vessels wide enough to have one to see."""
    shift = draw.white((3,)).numpy().astype(np.float64)
    shift /= np.linalg.norm(shift)
    ratio = draw.uniform(0.7, 1.15)
    return [
        Tube(
            tube.start + shift * tube.start_radius_mm * (1.15 + ratio),
            tube.stop + shift * tube.stop_radius_mm * (1.15 + ratio),
            tube.start_radius_mm * ratio,
            tube.stop_radius_mm * ratio,
        )
        for tube in tubes
        if tube.stop_radius_mm > 1.0
    ]
