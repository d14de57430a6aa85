"""Whether a probability means what it says."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from training.metrics.classification import Scores, Truth

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Cases whose probability lies in [low, high), the last bin with its upper end."""

    low: float
    high: float
    cases: int
    mean_probability: float
    observed_share: float


def brier_score(truth: Truth, probabilities: Scores) -> float:
    """Mean squared distance of the probability from what was so; 0 is perfect, 0.25 what 0.5 everywhere gives."""
    return float(np.mean((probabilities - truth) ** 2))


def reliability(truth: Truth, probabilities: Scores, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Bins of equal width over 0..1; empty ones are left out."""
    chosen = _bins_of(probabilities, bins)
    return tuple(
        ReliabilityBin(
            low=number / bins,
            high=(number + 1) / bins,
            cases=int(np.count_nonzero(chosen == number)),
            mean_probability=float(np.mean(probabilities[chosen == number])),
            observed_share=float(np.mean(truth[chosen == number])),
        )
        for number in range(bins)
        if (chosen == number).any()
    )


def expected_calibration_error(truth: Truth, probabilities: Scores, bins: int = BINS) -> float:
    """Mean distance between probability and observed share over the bins, weighted by their cases.

    Few cases make it large by chance alone: perfectly calibrated ones have about 0.10 with
    100 cases and 0.03 with 1,000.

    Source: Guo et al., 2017, "On calibration of modern neural networks".
    """
    excess = np.bincount(_bins_of(probabilities, bins), weights=probabilities - truth)
    return float(np.abs(excess).sum() / len(truth))


def _bins_of(probabilities: Scores, bins: int) -> Int[np.ndarray, "cases"]:
    return np.asarray(np.minimum((probabilities * bins).astype(int), bins - 1))
