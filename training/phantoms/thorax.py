"""Randomised thorax CT phantoms with known lungs: the training data of lung segmentation and the patient of the demo."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int16, UInt8

from training.phantoms import acquisition, thorax_disease, thorax_organs
from training.phantoms.fields import Draw, Grid

RIGHT_LUNG = 1
LEFT_LUNG = 2
TRAINING_SPACING_MM = (3.0, 3.0, 3.0)
TRAINING_SHAPE = (112, 112, 136)


@dataclass(frozen=True)
class ThoraxPhantom:
    """One synthetic patient; index order (slice, row, column), slice index towards the head, row posterior, column to the left.

    Attributes:
        hu: -1024 to 3071; -2048 where the scanner's circular field of view ends.
        labels: 0 background, 1 right lung, 2 left lung; without trachea, main bronchi and pleural effusion.
        nodules: the nodules and masses within the lungs.
        airway: lumen of trachea and main bronchi.
    """

    hu: Int16[np.ndarray, "slices rows columns"]
    labels: UInt8[np.ndarray, "slices rows columns"]
    nodules: Bool[np.ndarray, "slices rows columns"]
    airway: Bool[np.ndarray, "slices rows columns"]
    spacing_mm: tuple[float, float, float]


def thorax(
    seed: int,
    spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM,
    shape: tuple[int, int, int] = TRAINING_SHAPE,
    *,
    healthy: bool = False,
) -> ThoraxPhantom:
    """The phantom of a seed; the same on every run with the same arguments.

    Args:
        seed: decides every choice.
        spacing_mm: (slice, row, column).
        shape: slices, rows, columns; the patient's chest lies around the grid's centre.
        healthy: without diffuse disease, off-centre positioning, strong noise and artefacts; for demonstrations.
    """
    draw = Draw(seed)
    grid = Grid(spacing_mm, shape)
    canvas = thorax_organs.paint_patient(grid, draw, plain=healthy)
    nodules = thorax_disease.paint(canvas, draw, plain=healthy)
    thorax_organs.paint_surroundings(canvas, draw)
    hu = acquisition.scan(canvas.hu, canvas.body, grid, draw, plain=healthy)
    labels = torch.zeros(shape, dtype=torch.uint8)
    labels[canvas.right_lung] = RIGHT_LUNG
    labels[canvas.left_lung] = LEFT_LUNG
    labels[hu < acquisition.OUTSIDE_FIELD_OF_VIEW_HU + 100] = 0
    return ThoraxPhantom(hu.numpy(), labels.numpy(), nodules.numpy(), canvas.airway.numpy(), spacing_mm)
