import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics.intervals import bootstrap, bootstrap_mean


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=40))
def test_the_interval_holds_the_estimate(values: list[float]) -> None:
    interval = bootstrap_mean(np.array(values), range(len(values)), resamples=200)
    assert interval.low - 1e-9 <= interval.estimate <= interval.high + 1e-9
    assert interval.cases == interval.patients == len(values)


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = np.random.default_rng(1).normal(10, 2, 400)
    interval = bootstrap_mean(values, range(400))
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.08)


def test_cases_of_one_patient_are_not_independent() -> None:
    per_patient = np.repeat(np.random.default_rng(2).normal(0, 1, 20), 10)
    by_patient = bootstrap_mean(per_patient, np.repeat(np.arange(20), 10).tolist(), resamples=500)
    by_case = bootstrap_mean(per_patient, range(200), resamples=500)
    assert by_patient.high - by_patient.low > 2 * (by_case.high - by_case.low)
    assert (by_patient.cases, by_patient.patients) == (200, 20)


def test_the_quick_mean_is_the_mean_of_the_same_resamples() -> None:
    values, patients = np.array([0.1, 0.4, 0.35, 0.8, 0.9]), ["P1", "P1", "P2", "P3", "P3"]
    quick = bootstrap_mean(values, patients, resamples=300)
    assert quick == bootstrap(lambda chosen: float(values[chosen].mean()), patients, resamples=300)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.array([0.1, 0.5, 0.7, 0.9])
    assert bootstrap_mean(values, range(4), seed=3) == bootstrap_mean(values, range(4), seed=3)
    assert bootstrap_mean(values, range(4), seed=3, resamples=50) != bootstrap_mean(values, range(4), seed=4, resamples=50)


def test_one_patient_has_no_interval() -> None:
    interval = bootstrap_mean(np.array([0.4, 0.6]), ["P1", "P1"])
    assert interval.estimate == 0.5
    assert math.isnan(interval.low)
    assert str(interval) == "0.500 (n = 2, 1 patient)"


def test_undefined_values_are_left_out_and_not_counted() -> None:
    interval = bootstrap_mean(np.array([1.0, math.nan, 1.0]), ["P1", "P2", "P3"])
    assert (interval.estimate, interval.cases) == (1.0, 2)
    assert str(interval) == "1.000 (1.000 to 1.000; n = 2)"


def test_resamples_without_a_figure_are_left_out() -> None:
    def only_mixed(chosen: np.ndarray) -> float:
        return 0.25 if len(set(chosen.tolist())) > 1 else math.nan

    assert bootstrap(only_mixed, range(2)).low == 0.25


def test_nothing_at_all_has_no_figure() -> None:
    assert math.isnan(bootstrap_mean(np.array([math.nan]), ["P1"]).estimate)
