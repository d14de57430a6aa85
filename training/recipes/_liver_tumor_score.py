"""How well the liver engine does on abdomen phantoms that it was not trained on."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from engine.api import Engine, Refusal
from training.evaluate import dice, volume_of
from training.phantoms.abdomen import LESION, abdomen

SPACING_MM, SHAPE = (5.0, 2.5, 2.5), (56, 108, 140)
MINIMUM_LIVER_ML = 400.0
"""Of the liver within the picture; with less the engine may decline."""
MINIMUM_LESION_MM = 10.0


@dataclass(frozen=True)
class LiverScore:
    """Of each liver: Dice, volume error in percent. Of lesions: how many there are, are found, and are none.

    Attributes:
        hits: of each true lesion of 10 mm or more, whether a tenth of it was marked.
        false_positives: of each picture, marked parts that touch no true lesion of any size.
        lesion_dice: of each picture with lesions, all of them together.
        refused: phantoms that the engine refused.
    """

    dices: tuple[float, ...]
    volume_errors: tuple[float, ...]
    hits: tuple[bool, ...]
    false_positives: tuple[int, ...]
    lesion_dice: tuple[float, ...]
    refused: int = 0

    @property
    def count(self) -> int:
        """Phantoms that showed enough liver to be scored."""
        return len(self.dices)

    @property
    def liver(self) -> str:
        refused = f"; {self.refused} phantoms refused" if self.refused else ""
        if not self.dices:
            return f"none scored{refused}"
        errors = np.abs(self.volume_errors)
        return (
            f"Dice mean {np.mean(self.dices):.3f}, median {np.median(self.dices):.3f}, lowest {min(self.dices):.3f}; volume "
            f"error median {np.median(errors):.1f} %, within 10 % in {np.count_nonzero(errors <= 10)} of {len(errors)}{refused}"
        )

    @property
    def lesions(self) -> str:
        if not self.dices:
            return "none scored"
        median = f"median {np.median(self.lesion_dice):.2f}" if self.lesion_dice else "none scored"
        return (
            f"{sum(self.hits)} of {len(self.hits)} lesions of 10 mm or more found, {np.mean(self.false_positives):.1f} false "
            f"ones per scan; Dice of all lesions of a scan: {median}"
        )


def score_phantoms(engine: Engine, seeds: Iterable[int]) -> LiverScore:
    """The whole engine on the phantoms of the seeds that show enough liver."""
    dices, errors, hits, false_positives, lesion_dice, refused = [], [], [], [], [], 0
    for seed in seeds:
        phantom = abdomen(seed, SPACING_MM, SHAPE)
        volume = volume_of(phantom.hu, phantom.spacing_mm)
        liver, lesions = phantom.labels > 0, phantom.labels == LESION
        truth_ml = volume.volume_ml(liver)
        if truth_ml < MINIMUM_LIVER_ML:
            continue
        try:
            segments = engine.analyse(volume).segments
        except Refusal:
            refused += 1
            continue
        found = np.zeros_like(liver)
        marked = np.zeros_like(liver)
        for segment in segments:
            (found if segment.key == "liver" else marked)[segment.mask] = True
        dices.append(dice(found, liver))
        errors.append((volume.volume_ml(found) / truth_ml - 1) * 100)
        hits += _hits(lesions, marked, SPACING_MM)
        false_positives.append(_untouched(marked, lesions))
        if lesions.any():
            lesion_dice.append(dice(marked, lesions))
    return LiverScore(tuple(dices), tuple(errors), tuple(hits), tuple(false_positives), tuple(lesion_dice), refused)


def _hits(truth: np.ndarray, marked: np.ndarray, spacing_mm: tuple[float, float, float]) -> list[bool]:
    labels, number = ndimage.label(truth)
    least = MINIMUM_LESION_MM**3 * np.pi / 6 / np.prod(spacing_mm)
    sizes = np.bincount(labels.ravel(), minlength=number + 1)
    held = np.bincount(labels[marked], minlength=number + 1)
    return [bool(held[index] >= 0.1 * sizes[index]) for index in range(1, number + 1) if sizes[index] >= least]


def _untouched(marked: np.ndarray, truth: np.ndarray) -> int:
    labels, number = ndimage.label(marked)
    return number - len(np.unique(labels[truth & marked]))
