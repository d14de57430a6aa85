"""The same patient and truth in stacks of another order and orientation."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engine.volume import Volume

Truth = np.ndarray
Variant = Callable[[Volume, Truth], tuple[Volume, Truth]]


def unchanged(volume: Volume, truth: Truth) -> tuple[Volume, Truth]:
    """As it is."""
    return volume, truth


def reversed_stack(volume: Volume, truth: Truth) -> tuple[Volume, Truth]:
    """Feet at the end of the stack, columns to the patient's right (normal towards the feet)."""
    shift = volume.row_direction * volume.pixel_spacing_mm[1] * (truth.shape[2] - 1)
    changed = replace(
        volume,
        voxels=np.ascontiguousarray(volume.voxels[::-1, :, ::-1]),
        positions_mm=volume.positions_mm[::-1] + shift,
        row_direction=-volume.row_direction,
    )
    return changed, truth[::-1, :, ::-1]
