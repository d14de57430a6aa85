"""Randomised abdomen CT phantoms with known liver and lesions: the training data of the liver engine."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int16, UInt8
from torch import Tensor

from training.phantoms import abdomen_body, abdomen_lesions, abdomen_liver, abdomen_organs
from training.phantoms.abdomen_body import Canvas
from training.phantoms.acquisition import OUTSIDE_FIELD_OF_VIEW_HU
from training.phantoms.fields import Draw, Grid, blur

LIVER = 1
LESION = 2
LIVER_SPACING_MM, LIVER_SHAPE = (5.0, 5.0, 5.0), (64, 64, 80)
LESION_SPACING_MM, LESION_SHAPE = (2.5, 2.5, 2.5), (64, 80, 88)
LIVER_X_MM = -45.0
"""Where the grid's centre lies in a picture of the liver alone."""


@dataclass(frozen=True)
class AbdomenPhantom:
    """One synthetic patient; index order (slice, row, column), slice index towards the head, row posterior, column to the left.

    Attributes:
        hu: -1024 to 3071; -2048 where the scanner's circular field of view ends.
        labels: 0 background, 1 liver with its vessels, 2 lesion; without gallbladder and cava.
    """

    hu: Int16[np.ndarray, "slices rows columns"]
    labels: UInt8[np.ndarray, "slices rows columns"]
    spacing_mm: tuple[float, float, float]


def abdomen(
    seed: int,
    spacing_mm: tuple[float, float, float] = LIVER_SPACING_MM,
    shape: tuple[int, int, int] = LIVER_SHAPE,
    *,
    close: bool = False,
    lesion_share: float = 0.6,
) -> AbdomenPhantom:
    """The phantom of a seed; the same on every run with the same arguments.

    Args:
        seed: decides every choice.
        spacing_mm: (slice, row, column).
        shape: slices, rows, columns.
        close: the grid lies on the liver; else anywhere between mid chest and pelvis.
        lesion_share: how many patients have lesions.
    """
    draw = Draw(seed)
    grid = Grid(spacing_mm, shape)
    far = draw.chance(0.15) and not close
    reach = 20 if close else 230 if far else 90
    canvas = abdomen_body.paint_frame(grid, draw, (LIVER_X_MM if close else 0.0, draw.uniform(-reach, reach)))
    liver, lesions = _paint_organs(canvas, draw, lesion_share)
    abdomen_organs.paint_table(canvas, draw)
    hu = _scan(canvas, draw, close=close)
    labels = torch.zeros(shape, dtype=torch.uint8)
    labels[liver | lesions] = LIVER
    labels[lesions] = LESION
    labels[hu < OUTSIDE_FIELD_OF_VIEW_HU + 100] = 0
    return AbdomenPhantom(hu.numpy(), labels.numpy(), spacing_mm)


def _paint_organs(canvas: Canvas, draw: Draw, lesion_share: float) -> tuple[Tensor, Tensor]:
    """Masks of the liver and of its lesions; who lies in front of whom differs."""
    abdomen_organs.paint_bowel(canvas, draw)
    abdomen_organs.paint_spleen(canvas, draw)
    abdomen_organs.paint_pancreas(canvas, draw)
    liver = abdomen_liver.shape_liver(canvas, draw)
    stomach = abdomen_organs.paint_stomach(canvas, draw)
    if draw.chance(0.3):
        liver &= ~stomach
    veins = abdomen_liver.paint_liver(canvas, liver, draw)
    abdomen_lesions.paint_decoys(canvas, liver, draw)
    kept = liver
    for others in (abdomen_organs.paint_kidneys, abdomen_organs.paint_great_vessels):
        kept = kept & ~others(canvas, draw)
    kept = kept & ~abdomen_liver.paint_gallbladder(canvas, kept, draw)
    lesions = abdomen_lesions.paint_lesions(canvas, kept, veins, draw, share=lesion_share)
    abdomen_liver.paint_ascites(canvas, kept | lesions, draw)
    return kept, lesions


def _scan(canvas: Canvas, draw: Draw, *, close: bool) -> Tensor:
    """What the scanner makes of it, int16 HU: blur of kernel and slice, noise, streaks, field of view."""
    grid = canvas.grid
    in_plane, along = draw.uniform(0.4, 1.6), draw.uniform(0.3, 2.6)
    image = blur(canvas.hu, (along / grid.spacing_mm[0], in_plane / grid.spacing_mm[1], in_plane / grid.spacing_mm[2]))
    width = draw.uniform(0.3, 1.1)
    noise = blur(draw.white(grid.shape), (draw.uniform(0, 0.8), width, width))
    noise *= draw.uniform(1.4, 5.0) ** 2 / float(noise.std())
    image = image + noise * torch.where(canvas.body, 1.0, 0.5)
    if draw.chance(0.15):
        angle = torch.atan2(canvas.y - draw.uniform(-80, 80), canvas.x - draw.uniform(-80, 80))
        image += torch.sin(angle * math.floor(draw.uniform(20, 60))) * draw.uniform(3, 25) * canvas.body
    image = (image * draw.uniform(0.98, 1.02) + draw.uniform(-8, 8)).clamp_(-1024, 3071)
    if draw.chance(0.4) and not close:
        _, rows, columns = grid.axes_mm
        radius = draw.uniform(0.36, 0.5) * grid.shape[2] * grid.spacing_mm[2]
        padding = OUTSIDE_FIELD_OF_VIEW_HU if draw.chance(0.5) else -1024
        image.masked_fill_((rows**2 + columns**2 > radius**2).expand(grid.shape), padding)
    return image.round_().to(torch.int16)
