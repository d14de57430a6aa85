"""Confidence intervals by the bootstrap, resampled by patient: cases of one patient are not independent."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 2000
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
    members: dict[Hashable, list[int]] = {}
    for index, patient in enumerate(patients):
        members.setdefault(patient, []).append(index)
    groups = [np.array(indices) for indices in members.values()]
    cases = len(patients)
    estimate = statistic(np.arange(cases)) if cases else math.nan
    if len(groups) < MINIMUM_PATIENTS or math.isnan(estimate):
        return Interval(estimate, math.nan, math.nan, cases, len(groups))
    low, high = _percentiles(statistic, groups, np.random.default_rng(seed), resamples, level)
    return Interval(estimate, low, high, cases, len(groups))


def bootstrap_mean(
    values: Float[np.ndarray, "cases"], patients: Sequence[Hashable], seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Mean over the cases in which the value is defined (not nan)."""
    defined = np.flatnonzero(~np.isnan(values))
    kept = np.asarray(values)[defined]
    return bootstrap(lambda chosen: float(kept[chosen].mean()), [patients[int(index)] for index in defined], seed, resamples)


def _percentiles(
    statistic: Statistic, groups: list[Chosen], random: np.random.Generator, resamples: int, level: float
) -> tuple[float, float]:
    alone = np.concatenate(groups) if all(len(group) == 1 for group in groups) else None
    values = []
    for _ in range(resamples):
        drawn = random.integers(0, len(groups), len(groups))
        values.append(statistic(np.concatenate([groups[number] for number in drawn]) if alone is None else alone[drawn]))
    if np.isnan(values).all():
        return math.nan, math.nan
    tail = (1 - level) / 2 * 100
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
