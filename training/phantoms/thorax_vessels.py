"""Trees of vessels and bronchi in the lungs of the thorax phantom: few, tapering, branching from the hilum.

Points are millimetres from the first voxel, order (slice, row, column).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from training.phantoms.fields import Draw
from training.phantoms.thorax_build import SIDES, Canvas

NODE_STEP_MM = 11.0
MURRAY_EXPONENT = 0.38
"""Radius of a branch over the number of twigs behind it; Murray's law says 1/3, real lungs taper a little faster."""


@dataclass(frozen=True)
class Tree:
    """Nodes, each joined to its parent (an earlier node; the root to itself), with the radius in between."""

    nodes_mm: Float64[np.ndarray, "nodes 3"]
    parents: Int64[np.ndarray, "nodes"]
    radii_mm: Float64[np.ndarray, "nodes"]


def paint_trees(canvas: Canvas, draw: Draw) -> None:
    """Arteries, veins and the bronchi beside the arteries, in both lungs."""
    build = canvas.build
    twig_mm, density = draw.uniform(0.45, 0.9), draw.uniform(150, 420)
    blood = build.blood_hu * draw.uniform(0.7, 1.0)
    hu = canvas.hu.numpy()
    for side, lung in zip(SIDES, (canvas.right_lung.numpy(), canvas.left_lung.numpy()), strict=True):
        places = np.argwhere(lung)
        if len(places) < 50:
            continue
        share = min(1.0, len(places) * float(np.prod(canvas.grid.spacing_mm)) / 1.5e6)
        for height, bronchi in ((-18.0, True), (-32.0, False)):
            root = canvas.voxel_at(build.midline_x + side * 36, draw.uniform(-8, 8), build.carina_z + height)
            tree = _grow(root, places, round(density * share), twig_mm, canvas, draw)
            _paint(hu, lung, tree, canvas.grid.spacing_mm, blood)
            if bronchi:
                _paint_bronchi(hu, lung, tree, canvas, draw)


def _grow(
    root: list[int], places: Int64[np.ndarray, "voxels 3"], twigs: int, twig_mm: float, canvas: Canvas, draw: Draw
) -> Tree:
    """Joins random places of the lung, from the root outwards, each to the nearest node there is."""
    spacing = np.array(canvas.grid.spacing_mm)
    chosen = places[[int(draw.uniform(0, len(places) - 1e-3)) for _ in range(max(8, twigs))]] * spacing
    start = np.array(root) * spacing
    nodes, parents = start[None], [0]
    for target in chosen[np.argsort(np.linalg.norm(chosen - start, axis=1))]:
        parent = int(((nodes - target) ** 2).sum(axis=1).argmin())
        steps = max(1, int(np.linalg.norm(target - nodes[parent]) // NODE_STEP_MM))
        shares = np.arange(1, steps + 1)[:, None] / steps
        bends = draw.white((steps, 3)).numpy() * 1.5 * (shares < 1)
        parents += [parent, *range(len(nodes), len(nodes) + steps - 1)]
        nodes = np.concatenate([nodes, nodes[parent] + (target - nodes[parent]) * shares + bends])
    twigs_behind = np.ones(len(nodes))
    for index in range(len(nodes) - 1, 0, -1):
        twigs_behind[parents[index]] += twigs_behind[index] - (1 if index == parents[index] + 1 else 0)
    radii = np.minimum(twig_mm * twigs_behind**MURRAY_EXPONENT, 7.0)
    return Tree(nodes, np.array(parents), radii)


def _paint(
    hu: Float32[np.ndarray, "slices rows columns"],
    where: Bool[np.ndarray, "slices rows columns"],
    tree: Tree,
    spacing_mm: tuple[float, float, float],
    level_hu: float,
) -> None:
    """Every branch as a soft-edged rod; a rod thinner than a voxel fills only its share of it."""
    spacing = np.array(spacing_mm)
    voxel = float(np.prod(spacing) ** (1 / 3))
    for node, parent, radius in zip(tree.nodes_mm, tree.parents, tree.radii_mm, strict=True):
        start, end = tree.nodes_mm[parent], node
        low = np.maximum(np.floor((np.minimum(start, end) - radius) / spacing), 0).astype(int)
        high = np.minimum(np.ceil((np.maximum(start, end) + radius) / spacing) + 1, hu.shape).astype(int)
        if (high <= low).any():
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        distance = _distance_mm(low, high, spacing, start, end)
        opacity = np.clip((radius - distance) / voxel + 0.5, 0, 1) * min(1.0, np.pi * (radius / voxel) ** 2) * where[box]
        hu[box] += (opacity * (level_hu - hu[box])).astype(np.float32)


def _distance_mm(
    low: Int64[np.ndarray, "3"],
    high: Int64[np.ndarray, "3"],
    spacing: Float64[np.ndarray, "3"],
    start: Float64[np.ndarray, "3"],
    end: Float64[np.ndarray, "3"],
) -> Float64[np.ndarray, "slices rows columns"]:
    """From each voxel of a box to the line between two points."""
    offsets = [np.arange(a, b) * step - origin for a, b, step, origin in zip(low, high, spacing, start, strict=True)]
    z, y, x = offsets[0][:, None, None], offsets[1][:, None], offsets[2]
    axis = end - start
    share = np.clip((z * axis[0] + y * axis[1] + x * axis[2]) / max(float(axis @ axis), 1e-6), 0, 1)
    return np.asarray(np.sqrt((z - share * axis[0]) ** 2 + (y - share * axis[1]) ** 2 + (x - share * axis[2]) ** 2))


def _paint_bronchi(
    hu: Float32[np.ndarray, "slices rows columns"],
    where: Bool[np.ndarray, "slices rows columns"],
    arteries: Tree,
    canvas: Canvas,
    draw: Draw,
) -> None:
    """Air within a wall, beside the larger arteries."""
    wide = arteries.radii_mm > draw.uniform(1.4, 2.4)
    wide[0] = True
    number = np.cumsum(wide) - 1
    parents = number[arteries.parents[wide]]
    radii = arteries.radii_mm[wide] * draw.uniform(0.7, 1.1)
    aside = draw.white((3,)).numpy()
    nodes = arteries.nodes_mm[wide] + (aside / np.linalg.norm(aside)) * (arteries.radii_mm[wide] + radii)[:, None]
    _paint(hu, where, Tree(nodes, parents, radii + draw.uniform(0.6, 1.6)), canvas.grid.spacing_mm, draw.uniform(-50, 50))
    _paint(hu, where, Tree(nodes, parents, radii), canvas.grid.spacing_mm, -985.0)
