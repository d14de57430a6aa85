import numpy as np
import pytest

from training.metrics.intervals import Interval, bootstrap_mean
from training.metrics.subgroups import band, subgroups

VALUES = np.array([0.9, 0.8, 0.7, 0.6])


def _mean(chosen: np.ndarray) -> Interval:
    return bootstrap_mean(VALUES[chosen], [f"P{index}" for index in chosen], resamples=50)


def test_each_value_has_a_line_with_its_own_cases() -> None:
    lines = subgroups("maker", ["B", "A", "B", ""], _mean)
    assert [(line.value, line.interval.cases) for line in lines] == [("A", 1), ("B", 2), ("not given", 1)]
    assert [line.interval.estimate for line in lines] == pytest.approx([0.8, 0.8, 0.6])


def test_cases_that_are_all_alike_make_no_table() -> None:
    assert subgroups("maker", ["A"] * 4, _mean) == ()


@pytest.mark.parametrize(
    ("value", "name"),
    [(0.6, "below 1.5 mm"), (1.5, "1.5 to 3 mm"), (2.9, "1.5 to 3 mm"), (3.0, "3 mm or more"), (None, "")],
)
def test_a_band_is_named_by_its_limits(value: float | None, name: str) -> None:
    assert band(value, (1.5, 3), "mm") == name
