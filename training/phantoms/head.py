"""Randomised head MR phantoms with known brain tumours: the training data of the engine brain-tumor."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int16, UInt8
from torch import Tensor

from training.phantoms import head_contrast, head_scanner, head_surroundings
from training.phantoms.fields import Draw, Grid, blur
from training.phantoms.head_anatomy import Anatomy, Bulge, bend, brain_distance_mm, shape_head
from training.phantoms.head_tumour import Tumour, grow

BRAIN = 1
TUMOUR = 2
ENHANCING = 3
TRAINING_SPACING_MM = (2.0, 2.0, 2.0)
TRAINING_SHAPE = (96, 112, 96)


@dataclass(frozen=True)
class HeadPhantom:
    """One synthetic patient; index order (slice, row, column), slice index to the head, row posterior, column to the left.

    Attributes:
        flair: arbitrary units, not below 0; 0 outside of the brain if stripped, and where slices are missing.
        contrast_t1: T1 with contrast agent of the same head, in the same place.
        labels: 0 outside, 1 brain with its fluid, 2 tumour (oedema, infiltration, core, necrosis), 3 its enhancing part.
        stripped: without skull, as data sets for research are.
    """

    flair: Int16[np.ndarray, "slices rows columns"]
    contrast_t1: Int16[np.ndarray, "slices rows columns"]
    labels: UInt8[np.ndarray, "slices rows columns"]
    stripped: bool
    spacing_mm: tuple[float, float, float]


def head(
    seed: int,
    spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM,
    shape: tuple[int, int, int] = TRAINING_SHAPE,
    *,
    tumours: int | None = None,
) -> HeadPhantom:
    """The phantom of a seed; the same on every run with the same arguments.

    Args:
        seed: decides every choice.
        spacing_mm: (slice, row, column).
        shape: slices, rows, columns; the brain lies around the grid's centre.
        tumours: how many foci; None leaves that to chance (one or two, rarely three or none).
    """
    draw = Draw(seed)
    grid = Grid(spacing_mm, shape)
    anatomy, foci = _patient(grid, draw, _foci(draw) if tumours is None else tumours)
    harmless = head_contrast.harmless_brightness(anatomy, grid, draw)
    brains = (
        head_contrast.paint_flair(anatomy, foci, harmless, grid, draw),
        head_contrast.paint_contrast_t1(anatomy, foci, harmless, grid, draw),
    )
    stripped = draw.chance(0.6)
    covered = _covered(anatomy, grid, draw, stripped=stripped)
    around = None if stripped else head_surroundings.build(anatomy, grid, draw)
    images = []
    for number, brain in enumerate(brains):
        whole = brain if around is None else head_surroundings.paint(around, brain, grid, draw, contrast_t1=number == 1)
        image = head_scanner.scan(whole, grid, draw)
        images.append((image * covered).clamp(0, 32767).round().to(torch.int16).numpy())
    labels = anatomy.brain.to(torch.uint8) * BRAIN
    for focus in foci:
        labels[focus.whole & ~(labels == ENHANCING)] = TUMOUR
        labels[focus.enhancing] = ENHANCING
    labels[~covered] = 0
    return HeadPhantom(images[0], images[1], labels.numpy(), stripped, spacing_mm)


def _foci(draw: Draw) -> int:
    chance = draw.uniform(0, 1)
    return 0 if chance < 0.08 else 1 if chance < 0.8 else 2 if chance < 0.94 else 3


def _patient(grid: Grid, draw: Draw, count: int) -> tuple[Anatomy, list[Tumour]]:
    """The brain, bent and pushed aside by its tumours, and the tumours in it."""
    places = bend(grid, draw)
    depth_mm = -brain_distance_mm(places[:, ::2, ::2, ::2])
    volumes = [_volume_ml(draw, count) for _ in range(count)]
    seeds = [_seed(depth_mm, volume, draw) for volume in volumes]
    bulges = [_bulge(grid, seed, volume, draw) for seed, volume in zip(seeds, volumes, strict=True)]
    anatomy = shape_head(grid, places, draw, bulges)
    settled = [_settle(anatomy, seed) for seed in seeds]
    return anatomy, [grow(anatomy, grid, seed, volume, draw) for seed, volume in zip(settled, volumes, strict=True)]


def _volume_ml(draw: Draw, count: int) -> float:
    low, high = (1.0, 180.0) if count == 1 else (0.4, 60.0)
    return math.exp(draw.uniform(math.log(low), math.log(high)) * 0.75 + 0.25 * math.log(high))


def _seed(depth_mm: Tensor, volume_ml: float, draw: Draw) -> tuple[int, int, int]:
    """A voxel anywhere in the brain, of a depth at every other voxel; large tumours do not begin at the very surface."""
    places = torch.nonzero(depth_mm > min(12.0, 2.2 * volume_ml ** (1 / 3)))
    chosen = 2 * places[draw.count(0, len(places) - 1)]
    return int(chosen[0]), int(chosen[1]), int(chosen[2])


def _settle(anatomy: Anatomy, seed: tuple[int, int, int]) -> tuple[int, int, int]:
    """The voxel of tissue nearest to the seed: what was tissue may have become fluid as the brain was pushed aside."""
    tissue = torch.nonzero(anatomy.brain & (anatomy.fluid < 0.3))
    nearest = tissue[(tissue - torch.tensor(seed)).square().sum(1).argmin()]
    return int(nearest[0]), int(nearest[1]), int(nearest[2])


def _bulge(grid: Grid, seed: tuple[int, int, int], volume_ml: float, draw: Draw) -> Bulge:
    radius_mm = (volume_ml * 240) ** (1 / 3)
    centre = [float(axis.flatten()[index]) for axis, index in zip(grid.axes_mm, seed, strict=True)]
    push_mm = draw.uniform(0, 0.35) * radius_mm if draw.chance(0.7) else 0.0
    return Bulge((centre[0], centre[1], centre[2]), min(push_mm, 10.0), 1.2 * radius_mm + 8)


def _covered(anatomy: Anatomy, grid: Grid, draw: Draw, *, stripped: bool) -> Bool[Tensor, "slices rows columns"]:
    """Where the image holds anything: within the slices taken, and within the brain if stripped."""
    covered = torch.ones(grid.shape, dtype=torch.bool)
    if draw.chance(0.15):
        axis = 0 if draw.chance(0.8) else 2
        cut = draw.count(5, grid.shape[axis] // 3)
        start = draw.chance(0.5)
        covered.narrow(axis, 0 if start else grid.shape[axis] - cut, cut).fill_(value=False)
    if stripped:
        edge = anatomy.brain_mm + draw.smooth(grid, 20.0) * draw.uniform(0, 1.5) < draw.uniform(-1.5, 2.5)
        covered &= blur(edge.float(), (0.6, 0.6, 0.6)) > 0.5
    return covered
