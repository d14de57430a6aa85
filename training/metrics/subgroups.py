"""The same figure for parts of the cases: by maker, slice thickness, size, sex, age."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from training.metrics.intervals import Interval

UNKNOWN = "not given"
Measure = Callable[[Int[np.ndarray, "chosen"]], Interval]
"""The figure over the cases of these indices."""


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One line of a subgroup table."""

    attribute: str
    value: str
    interval: Interval


def subgroups(attribute: str, values: Sequence[str], measure: Measure) -> tuple[Subgroup, ...]:
    """One line per value, in alphabetical order, cases without a value last; none where all cases are alike."""
    named = [value or UNKNOWN for value in values]
    kinds = sorted(set(named), key=lambda value: (value == UNKNOWN, value))
    if len(kinds) < 2:
        return ()
    array = np.array(named)
    return tuple(Subgroup(attribute, kind, measure(np.flatnonzero(array == kind))) for kind in kinds)


def band(value: float | None, limits: Sequence[float], unit: str) -> str:
    """The name of the range that holds a value: "below 1.5 mm", "1.5 to 3 mm", "3 mm or more"; empty without one."""
    if value is None:
        return ""
    above = [limit for limit in limits if value >= limit]
    below = [limit for limit in limits if value < limit]
    if not above:
        return f"below {below[0]:g} {unit}"
    if not below:
        return f"{above[-1]:g} {unit} or more"
    return f"{above[-1]:g} to {below[0]:g} {unit}"
