"""A labelled case on the grid of a network: the same resampling as inference, and labels that keep thin things."""

import numpy as np

from engine.resampling import canonical_grid, to_canonical
from training.cases import Case
from training.readers.labelled_case import LabelledCase, as_volume

_LEVELS = 1000
"""A mask is resampled as an image of this height."""


def on_canonical_grid(case: LabelledCase, spacing_mm: tuple[float, float, float], outside: float) -> Case:
    """Image (in the case's unit) and labels with slices to the head, rows posterior, columns to the left.

    A voxel gets the label that holds the most of it, where the labels together hold at least half.

    Args:
        case: with one channel, or several of which the first axis remains.
        spacing_mm: slice, row, column of the network's grid.
        outside: value beyond the image.

    Raises:
        LabelError: rows and columns of the case are not at right angles.
    """
    volume = case.volume()
    grid = canonical_grid(volume, spacing_mm)
    count = 1 if case.image.ndim == 3 else len(case.image)
    channels = []
    for index in range(count):
        source = case.volume(index)
        channels.append(to_canonical(source, grid, outside / source.value_scale).numpy() * source.value_scale)
    image = channels[0] if case.image.ndim == 3 else np.stack(channels)
    shares = np.zeros((len(case.structures), *grid.shape), np.float32)
    for label in range(1, len(case.structures)):
        mask = as_volume((case.labels == label).astype(np.int16) * _LEVELS, case.affine, case.modality, case.name)
        shares[label] = to_canonical(mask, grid, 0.0).numpy() / _LEVELS
    labels = np.where(shares.sum(0) >= 0.5, shares[1:].argmax(0) + 1 if len(shares) > 1 else 0, 0).astype(np.uint8)
    whole = case.modality == "CT"
    return (np.rint(image).astype(np.int16) if whole else image.astype(np.float32)), labels
