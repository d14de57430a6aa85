"""How well a lung model serves its engine: Dice coefficients on held-out phantoms."""

from collections.abc import Iterable

import numpy as np

from engine.api import Engine, Refusal
from training.evaluate import MINIMUM_TRUTH_ML, Score, dice, volume_of
from training.phantoms.thorax import LEFT_LUNG, RIGHT_LUNG, thorax


def score_engine(engine: Engine, numbers: Iterable[int]) -> Score:
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
    return Score(tuple(values), refused)
