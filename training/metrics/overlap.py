"""How much of a structure was found: Dice, IoU and the error of its volume."""

import math

import numpy as np
from jaxtyping import Bool

Mask = Bool[np.ndarray, "*grid"]


def dice(found: Mask, truth: Mask) -> float:
    """Twice the overlap over the sum; 1 where both are empty, 0 where one is."""
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(found & truth) / total if total else 1.0


def intersection_over_union(found: Mask, truth: Mask) -> float:
    """Overlap over union (Jaccard); 1 where both are empty, 0 where one is."""
    union = np.count_nonzero(found | truth)
    return np.count_nonzero(found & truth) / union if union else 1.0


def volume_error_percent(found_ml: float, truth_ml: float) -> float:
    """How much larger (+) or smaller (-) the result is, in percent of the truth; 0 where both are empty, nan without truth."""
    if truth_ml == 0:
        return 0.0 if found_ml == 0 else math.nan
    return (found_ml - truth_ml) / truth_ml * 100
