"""How well an engine finds what is known to be there."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int16

from engine.api import Engine
from engine.volume import SliceReference, Volume
from training.phantoms.thorax import LEFT_LUNG, RIGHT_LUNG, thorax

MINIMUM_TRUTH_ML = 20.0
"""A structure that barely enters the field of view is not scored."""


@dataclass(frozen=True, slots=True)
class Score:
    """Dice coefficients over structures."""

    values: tuple[float, ...]

    def __str__(self) -> str:
        return f"mean {np.mean(self.values):.3f}, median {np.median(self.values):.3f}, lowest {min(self.values):.3f}"


def dice(found: Bool[np.ndarray, "*grid"], truth: Bool[np.ndarray, "*grid"]) -> float:
    """Twice the overlap over the sum; 1 where both are empty."""
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(found & truth) / total if total else 1.0


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


def lung_score(engine: Engine, seeds: Iterable[int]) -> Score:
    """Dice of each lung over the thorax phantoms of the seeds."""
    values = []
    for seed in seeds:
        phantom = thorax(seed)
        volume = volume_of(phantom.hu, phantom.spacing_mm)
        found = {segment.key: segment.mask for segment in engine.analyse(volume).segments}
        for key, label in (("right-lung", RIGHT_LUNG), ("left-lung", LEFT_LUNG)):
            truth = phantom.labels == label
            if volume.volume_ml(truth) >= MINIMUM_TRUTH_ML:
                values.append(dice(found.get(key, np.zeros_like(truth)), truth))
    return Score(tuple(values))
