import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from training.metrics.calibration import brier_score, expected_calibration_error, reliability


def _calibrated(cases: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    probabilities = random.random(cases)
    return random.random(cases) < probabilities, probabilities


def test_perfect_calibration_has_a_small_error() -> None:
    assert expected_calibration_error(*_calibrated(20_000)) < 0.015


def test_overconfidence_is_seen() -> None:
    truth, probabilities = _calibrated(20_000)
    sharpened = np.where(probabilities > 0.5, 0.99, 0.01)
    assert expected_calibration_error(truth, sharpened) > 0.2


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40))
def test_the_bins_hold_every_case_once(cases: list[tuple[bool, float]]) -> None:
    truth, probabilities = np.array([case[0] for case in cases]), np.array([case[1] for case in cases])
    table = reliability(truth, probabilities)
    assert sum(row.cases for row in table) == len(cases)
    assert all(row.low - 1e-9 <= row.mean_probability <= row.high + 1e-9 for row in table)
    assert 0 <= expected_calibration_error(truth, probabilities) <= 1
    by_hand = sum(row.cases * abs(row.mean_probability - row.observed_share) for row in table) / len(cases)
    assert expected_calibration_error(truth, probabilities) == pytest.approx(by_hand)
    assert brier_score(truth, probabilities) == pytest.approx(brier_score_loss(truth, probabilities, labels=[False, True]))


def test_certainty_belongs_to_the_last_bin() -> None:
    (row,) = reliability(np.array([True, True]), np.array([1.0, 0.95]))
    assert (row.low, row.high, row.cases, row.observed_share) == (0.9, 1.0, 2, 1.0)
