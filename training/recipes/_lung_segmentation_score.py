"""How well a lung model serves its engine: Dice coefficients on held-out phantoms."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from engine.api import Engine, Refusal
from training.evaluate import MINIMUM_TRUTH_ML, dice, volume_of
from training.phantoms.thorax import LEFT_LUNG, RIGHT_LUNG, thorax


@dataclass(frozen=True, slots=True)
class LungScore:
    """Dice coefficient of each lung, and how many phantoms the engine refused (chests that the field of view cuts)."""

    values: tuple[float, ...]
    refused: int

    def __str__(self) -> str:
        if not self.values:
            return f"no lung scored; {self.refused} refused"
        found = f"mean {np.mean(self.values):.3f}, median {np.median(self.values):.3f}, lowest {min(self.values):.3f}"
        return f"{found} (n = {len(self.values)} lungs; {self.refused} phantoms refused)"


def score_engine(engine: Engine, numbers: Iterable[int]) -> LungScore:
    """The score over the thorax phantoms of the numbers; lungs that barely enter the field of view do not count."""
    values: list[float] = []
    refused = 0
    for number in numbers:
        phantom = thorax(number)
        volume = volume_of(phantom.hu, phantom.spacing_mm)
        try:
            found = {segment.key: segment.mask for segment in engine.analyse(volume).segments}
        except Refusal:
            refused += 1
            continue
        for key, label in (("right-lung", RIGHT_LUNG), ("left-lung", LEFT_LUNG)):
            truth = phantom.labels == label
            if volume.volume_ml(truth) >= MINIMUM_TRUTH_ML:
                values.append(dice(found.get(key, np.zeros_like(truth)), truth))
    return LungScore(tuple(values), refused)
