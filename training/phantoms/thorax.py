"""Randomised thorax CT phantoms with known lungs: the training data of lung segmentation and the patient of the demo."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int16, UInt8

from training.phantoms import acquisition, thorax_disease
from training.phantoms.fields import Draw, Grid
from training.phantoms.thorax_abdomen import above_diaphragm, paint_abdomen
from training.phantoms.thorax_bones import paint_bones
from training.phantoms.thorax_build import Canvas, empty_canvas
from training.phantoms.thorax_disease import Nodule
from training.phantoms.thorax_lungs import paint_airway, paint_lungs
from training.phantoms.thorax_organs import paint_body, paint_mediastinum
from training.phantoms.thorax_surroundings import paint_surroundings

RIGHT_LUNG = 1
LEFT_LUNG = 2
AIRWAY = 3
"""In what recipes learn; a phantom keeps its airway apart."""
TRAINING_SPACING_MM = (3.0, 3.0, 3.0)
TRAINING_SHAPE = (112, 112, 136)


@dataclass(frozen=True)
class ThoraxPhantom:
    """One synthetic patient; index order (slice, row, column), slice index towards the head, row posterior, column to the left.

    Attributes:
        hu: -1024 to 3071; -2048 where the scanner's circular field of view ends.
        labels: 0 background, 1 right lung, 2 left lung; without trachea, main bronchi, pneumothorax and pleural effusion.
        nodules: the nodules and masses within the lungs.
        airway: lumen of trachea and main bronchi.
        known_nodules: one record for each nodule painted, also of those that effusion hides.
    """

    hu: Int16[np.ndarray, "slices rows columns"]
    labels: UInt8[np.ndarray, "slices rows columns"]
    nodules: Bool[np.ndarray, "slices rows columns"]
    airway: Bool[np.ndarray, "slices rows columns"]
    spacing_mm: tuple[float, float, float]
    known_nodules: tuple[Nodule, ...] = ()


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
    canvas = _paint_patient(grid, draw, plain=healthy)
    nodules, known = thorax_disease.paint(canvas, draw, plain=healthy)
    if canvas.build.absent:
        thorax_disease.empty_side(canvas, draw)
    paint_surroundings(canvas, draw, plain=healthy)
    hu = acquisition.scan(canvas.hu, canvas.body, grid, draw, plain=healthy)
    labels = torch.zeros(shape, dtype=torch.uint8)
    labels[canvas.right_lung] = RIGHT_LUNG
    labels[canvas.left_lung] = LEFT_LUNG
    labels[acquisition.beyond_field_of_view(hu)] = 0
    seen = nodules & (labels > 0)
    return ThoraxPhantom(hu.numpy(), labels.numpy(), seen.numpy(), canvas.airway.numpy(), spacing_mm, known)


def _paint_patient(grid: Grid, draw: Draw, *, plain: bool) -> Canvas:
    """Body, mediastinum, abdomen, lungs, airways and bones of one patient."""
    canvas = empty_canvas(grid, draw, plain=plain)
    paint_body(canvas, draw, plain=plain)
    mediastinum = paint_mediastinum(canvas, draw)
    above = above_diaphragm(canvas, draw, plain=plain)
    paint_abdomen(canvas, above, mediastinum, draw, plain=plain)
    free = canvas.cavity & ~mediastinum & above
    right = canvas.x < canvas.build.midline_x
    canvas.right_lung, canvas.left_lung = free & right, free & ~right
    paint_lungs(canvas, draw, plain=plain)
    paint_airway(canvas, draw, plain=plain)
    paint_bones(canvas, draw)
    return canvas
