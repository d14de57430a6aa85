"""When the disk will be too full to take more, if things go on as in the last hour: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

SHORTEST_S = 300.0
LONGEST_S = 365 * 86_400.0
RECEDES_BEYOND = 1.25


@dataclass(frozen=True, slots=True)
class Sample:
    """Free space at a moment.

    Attributes:
        at: seconds on any clock that does not jump.
    """

    at: float
    free_bytes: int


def shrinkage(samples: Sequence[Sample]) -> float:
    """Bytes per second by which free space becomes less; negative where it grows.

    One large deletion, or one large file, hardly changes it: it is the median over all pairs (Theil 1950, Sen 1968).
    """
    pairs = combinations(samples, 2)
    slopes = [(one.free_bytes - other.free_bytes) / (other.at - one.at) for one, other in pairs if other.at > one.at]
    return median(slopes) if slopes else 0.0


def seconds_until(samples: Sequence[Sample], floor_bytes: float) -> float | None:
    """After how many seconds free space is below the floor; 0 if it is already.

    Args:
        samples: in order of time.
        floor_bytes: free space below which C-STORE is refused.

    Returns:
        None if it does not shrink, if the samples cover less than five minutes, or if it is more than a year away.
    """
    if not samples:
        return None
    first, last = samples[0], samples[-1]
    if last.free_bytes < floor_bytes:
        return 0.0
    rate = shrinkage(samples)
    if last.at - first.at < SHORTEST_S or rate <= 0:
        return None
    left_s = (last.free_bytes - floor_bytes) / rate
    return left_s if left_s <= LONGEST_S else None


def is_near(was_near: bool, left_s: float | None, within_s: float) -> bool:  # noqa: FBT001
    """Whether it is time to warn, given whether it was until now: that ends when the end is a quarter farther away."""
    return left_s is not None and left_s < within_s * (RECEDES_BEYOND if was_near else 1.0)
