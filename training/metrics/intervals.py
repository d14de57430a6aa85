"""Confidence intervals by the bootstrap, resampled by patient: cases of one patient are not independent."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 1000
LEVEL = 0.95
MINIMUM_PATIENTS = 2
Chosen = Int[np.ndarray, "chosen"]
Statistic = Callable[[Chosen], float]
"""A figure over the cases of these indices, some of them several times."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval, and what it rests on.

    Attributes:
        low, high: nan where one patient or none is all there is.
    """

    estimate: float
    low: float
    high: float
    cases: int
    patients: int

    def __str__(self) -> str:
        count = f"n = {self.cases}"
        if self.cases != self.patients:
            count += f", {self.patients} patient{'s' * (self.patients != 1)}"
        if math.isnan(self.low):
            return f"{self.estimate:.3f} ({count})"
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f}; {count})"


def bootstrap(
    statistic: Statistic, patients: Sequence[Hashable], seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """Percentile interval of a statistic.

    `patients` holds that of each case, in the order of its index. Resamples where the statistic is not defined (one class
    only) are left out.
    """
    groups = _groups(patients)
    cases = len(patients)
    estimate = statistic(np.arange(cases)) if cases else math.nan
    if len(groups) < MINIMUM_PATIENTS or math.isnan(estimate):
        return Interval(estimate, math.nan, math.nan, cases, len(groups))
    drawn = _resamples(len(groups), seed, resamples)
    alone = len(groups) == cases
    values = [statistic(line if alone else np.concatenate([groups[number] for number in line])) for line in drawn]
    return Interval(estimate, *_percentiles(np.array(values), level), cases, len(groups))


def bootstrap_mean(
    values: Float[np.ndarray, "cases"], patients: Sequence[Hashable], seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Mean over the cases in which the value is defined (not nan); the same as `bootstrap` of the mean, but quick."""
    defined = np.flatnonzero(~np.isnan(values))
    kept = np.asarray(values, np.float64)[defined]
    groups = _groups([patients[int(index)] for index in defined])
    estimate = float(kept.mean()) if len(kept) else math.nan
    if len(groups) < MINIMUM_PATIENTS:
        return Interval(estimate, math.nan, math.nan, len(kept), len(groups))
    sums, counts = np.array([kept[group].sum() for group in groups]), np.array([len(group) for group in groups])
    drawn = _resamples(len(groups), seed, resamples)
    low, high = _percentiles(sums[drawn].sum(1) / counts[drawn].sum(1), LEVEL)
    return Interval(estimate, low, high, len(kept), len(groups))


def _groups(patients: Sequence[Hashable]) -> list[Chosen]:
    """Indices of the cases of each patient."""
    members: dict[Hashable, list[int]] = {}
    for index, patient in enumerate(patients):
        members.setdefault(patient, []).append(index)
    return [np.array(indices) for indices in members.values()]


def _resamples(groups: int, seed: int, resamples: int) -> Int[np.ndarray, "resamples groups"]:
    """Numbers of the patients of each resample."""
    return np.random.default_rng(seed).integers(0, groups, (resamples, groups))


def _percentiles(values: Float[np.ndarray, "resamples"], level: float) -> tuple[float, float]:
    if np.isnan(values).all():
        return math.nan, math.nan
    tail = (1 - level) / 2 * 100
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
