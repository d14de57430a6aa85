"""Lung patches with nodules of known kind: the training data of the engine nodule-malignancy.

A patch of a few centimetres at any spacing: parenchyma, vessel trees with bronchi, fissures, chest wall with ribs, mediastinum
or diaphragm, scars, thickened pleura and haze, and in most patches nodules: free, on the pleura, on vessels.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int16, UInt8
from torch import Tensor

from training.phantoms.fields import Draw, Grid
from training.phantoms.nodules_lesions import NoduleTruth, draw_truth, paint_nodule
from training.phantoms.nodules_scan import scan
from training.phantoms.nodules_surroundings import Patch, paint_haze, paint_lung, paint_scars, paint_surface
from training.phantoms.nodules_vessels import Point, Tube, beside, grow_tree, paint_tubes

SPACING_RANGE_MM = (0.75, 1.35)
SHAPE = (80, 80, 80)
MOST_NODULES = 5
FEWEST_TREES, MOST_TREES = 8, 45
HILUM_SHARE = 0.9
"""Of the patches at a mediastinum: a lung's root lies there."""


@dataclass(frozen=True)
class NodulePhantom:
    """A synthetic patch; index order (slice, row, column).

    Attributes:
        labels: 0, or the number of the nodule, from 1.
        truths: what nodule n is, at index n - 1.
    """

    hu: Int16[np.ndarray, "slices rows columns"]
    labels: UInt8[np.ndarray, "slices rows columns"]
    spacing_mm: tuple[float, float, float]
    truths: tuple[NoduleTruth, ...]


def nodule_patch(seed: int, spacing_mm: float | None = None, shape: tuple[int, int, int] = SHAPE) -> NodulePhantom:
    """The patch of a seed; the same on every run with the same arguments.

    Args:
        seed: decides every choice.
        spacing_mm: of the cubic voxels; drawn from SPACING_RANGE_MM if None.
        shape: slices, rows, columns.
    """
    draw = Draw(seed)
    step = draw.uniform(*SPACING_RANGE_MM) if spacing_mm is None else spacing_mm
    grid = Grid((step, step, step), shape)
    patch = paint_lung(grid, draw)
    for chance, concave in ((0.6, 0.7), (0.3, 0.3)):
        if draw.chance(chance):
            paint_surface(patch, draw, concave=draw.chance(concave))
    tubes = _paint_vessels(patch, draw)
    paint_scars(patch, draw)
    paint_haze(patch, draw)
    truths, labels = _paint_nodules(patch, tubes, draw)
    return NodulePhantom(scan(patch.hu, grid, draw).numpy(), labels.numpy(), grid.spacing_mm, truths)


def _paint_vessels(patch: Patch, draw: Draw) -> list[Tube]:
    """Trees that enter at random faces; blood may hold contrast medium."""
    grid = patch.grid
    half = np.array([count * step / 2 for count, step in zip(grid.shape, grid.spacing_mm, strict=True)])
    blood = draw.uniform(90, 350) if draw.chance(0.45) else draw.uniform(20, 65)
    cover, lumen = torch.zeros(grid.shape), torch.zeros(grid.shape)
    wall = torch.zeros(grid.shape)
    tubes: list[Tube] = []
    trees = [(tree, 0.35) for tree in _scattered_trees(half, draw)] + [(tree, 0.6) for tree in _hilar_trees(patch, half, draw)]
    for tree, chance_of_bronchi in trees:
        paint_tubes(cover, tree, grid)
        tubes += tree
        bronchi = beside(tree, draw) if draw.chance(chance_of_bronchi) else []
        paint_tubes(wall, bronchi, grid, grow_mm=draw.uniform(0.3, 0.9) * (2.0 if draw.chance(0.15) else 1.0))
        paint_tubes(lumen, bronchi, grid)
    within = patch.lung | (patch.depth_mm > -3)
    tissue = patch.hu + cover.clamp(max=1) * (blood - patch.hu).clamp(min=0)
    tissue = torch.maximum(tissue, patch.hu + wall * (draw.uniform(-250, 30) - patch.hu))
    patch.hu = torch.where(within, tissue * (1 - lumen) + lumen * draw.uniform(-1000, -930), patch.hu)
    return tubes


def _scattered_trees(half_mm: Point, draw: Draw) -> list[list[Tube]]:
    """Trees from random places, most of them thin, on their way through the patch."""
    trees = []
    for _ in range(round(math.exp(draw.uniform(math.log(FEWEST_TREES), math.log(MOST_TREES))))):
        aim = draw.white((3,)).numpy().astype(np.float64)
        root = aim / np.abs(aim).max() * half_mm * draw.uniform(0.5, 1.05)
        inward = draw.white((3,)).numpy() * half_mm * 0.45 - root
        radius = math.exp(draw.uniform(math.log(0.7), math.log(2.2 if draw.chance(0.88) else 6.0)))
        trees.append(grow_tree(root, inward / np.linalg.norm(inward), radius, float(half_mm.max()) * 1.6, draw))
    return trees


def _hilar_trees(patch: Patch, half_mm: Point, draw: Draw) -> list[list[Tube]]:
    """The wide vessels of a lung's root, fanning out from the mediastinum; none in most patches without one."""
    if patch.root is None or not draw.chance(HILUM_SHARE):
        return []
    place, inward = (part.numpy().astype(np.float64) for part in patch.root)
    trees = []
    for _ in range(draw.count(3, 9)):
        root = place + draw.white((3,)).numpy() * draw.uniform(2, 12)
        way = inward + draw.white((3,)).numpy() * draw.uniform(0.3, 1.0)
        radius = math.exp(draw.uniform(math.log(1.5), math.log(7.0)))
        trees.append(grow_tree(root, way / np.linalg.norm(way), radius, float(half_mm.max()) * 1.6, draw))
    return trees


def _paint_nodules(patch: Patch, tubes: list[Tube], draw: Draw) -> tuple[tuple[NoduleTruth, ...], Tensor]:
    labels = torch.zeros(patch.grid.shape, dtype=torch.uint8)
    truths: list[NoduleTruth] = []
    for _ in range(draw.count(0, MOST_NODULES)):
        truth = draw_truth(draw)
        centre = _place(patch, tubes, truth.diameter_mm / 2, draw)
        if centre is None:
            continue
        box, found = paint_nodule(patch.hu, patch.lung, patch.grid, centre, truth, draw)
        number = len(truths) + 1
        free = found & (labels[box] == 0)
        labels[box] = torch.where(free, torch.full_like(labels[box], number), labels[box])
        truths.append(truth)
    return tuple(truths), labels


def _place(patch: Patch, tubes: list[Tube], radius: float, draw: Draw) -> tuple[int, int, int] | None:
    """A voxel for the centre: anywhere in the lung, at the pleura, or beside a vessel."""
    way = draw.uniform(0, 1)
    if way < 0.3:
        near = (patch.depth_mm - radius * draw.uniform(-0.2, 0.9)).abs() < 1.5 * max(patch.grid.spacing_mm)
        places = (near & (patch.depth_mm < 40)).nonzero()
    elif way < 0.55 and tubes:
        tube = tubes[draw.count(0, len(tubes) - 1)]
        aside = draw.white((3,)).numpy()
        point = tube.stop + aside / np.linalg.norm(aside) * (tube.stop_radius_mm + radius * draw.uniform(0.2, 0.9))
        index = [
            round(float(p) / step + (count - 1) / 2)
            for p, step, count in zip(point, patch.grid.spacing_mm, patch.grid.shape, strict=True)
        ]
        inside = all(3 < i < count - 4 for i, count in zip(index, patch.grid.shape, strict=True))
        places = torch.tensor([index]) if inside and bool(patch.lung[tuple(index)]) else torch.zeros(0, 3)
    else:
        places = patch.lung[::2, ::2, ::2].nonzero() * 2
    if not len(places):
        return None
    z, y, x = (int(value) for value in places[draw.count(0, len(places) - 1)])
    return z, y, x
