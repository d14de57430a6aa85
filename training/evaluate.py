"""What recipes need to score their engine on phantoms; the whole evaluation is training/evaluation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16

from engine.volume import SliceReference, Volume
from training.metrics.overlap import dice

__all__ = ["MINIMUM_TRUTH_ML", "Score", "dice", "volume_of"]

MINIMUM_TRUTH_ML = 20.0
"""A structure that barely enters the field of view is not scored."""


@dataclass(frozen=True, slots=True)
class Score:
    """Dice coefficients over structures.

    Attributes:
        refused: phantoms that the engine refused; they have no coefficient.
    """

    values: tuple[float, ...]
    refused: int = 0

    def __str__(self) -> str:
        refused = f"; {self.refused} phantoms refused" if self.refused else ""
        if not self.values:
            return f"none scored{refused}"
        found = f"mean {np.mean(self.values):.3f}, median {np.median(self.values):.3f}, lowest {min(self.values):.3f}"
        return f"{found}{refused}"


def volume_of(hu: Int16[np.ndarray, "slices rows columns"], spacing_mm: tuple[float, float, float]) -> Volume:
    """An axial CT volume of an array whose axes run to the head, posterior and to the left; centred on the origin."""
    slices, rows, columns = hu.shape
    corner = [-(count - 1) / 2 * step for count, step in zip((columns, rows, slices), reversed(spacing_mm), strict=True)]
    positions = np.array([[corner[0], corner[1], corner[2] + index * spacing_mm[0]] for index in range(slices)])
    return Volume(
        voxels=np.maximum(hu, -1024).astype(np.int16),
        positions_mm=positions,
        row_direction=np.array([1.0, 0.0, 0.0]),
        column_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=(spacing_mm[1], spacing_mm[2]),
        slice_thickness_mm=spacing_mm[0],
        modality="CT",
        slices=tuple(SliceReference(f"2.25.{index}") for index in range(slices)),
    )
