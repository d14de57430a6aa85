"""Labelled volumes with balls of known place and size."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.evaluate import volume_of
from training.evaluation.cases import LabelledVolume, lesions_of

SHAPE, SPACING_MM = (12, 40, 40), (2.0, 1.0, 1.0)


def ball(centre: tuple[int, int, int], radius_mm: float) -> np.ndarray:
    grid = np.indices(SHAPE)
    return np.asarray(sum(((grid[a] - centre[a]) * SPACING_MM[a]) ** 2 for a in range(3)) <= radius_mm**2)


def case(
    number: int, truth: np.ndarray, shown: np.ndarray | None = None, *, modality: str = "CT", maker: str = "A"
) -> LabelledVolume:
    """`shown` is what the image holds, `truth` what the label says."""
    bright = truth if shown is None else shown
    volume = replace(volume_of(np.where(bright, 100, 0).astype(np.int16), SPACING_MM), modality=modality)
    lesions = {"ball": lesions_of(truth, volume.affine)}
    return LabelledVolume(f"case-{number}", f"P{number}", volume, {"ball": truth}, lesions, attributes={"maker": maker})


def balls(count: int) -> list[LabelledVolume]:
    return [case(n, ball((5 + n % 3, 12 + n, 20), 4 + n % 4), maker="AB"[n % 2]) for n in range(count)]


def package(folder: Path, growth: int) -> Path:
    """A package of the ball finder."""
    folder.mkdir(parents=True)
    (folder / "growth").write_text(str(growth))
    return folder


def union(masks: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.any(masks, axis=0))
