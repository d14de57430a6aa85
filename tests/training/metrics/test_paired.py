import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from training.metrics.classification import area_under_roc
from training.metrics.paired import delong_p, wilcoxon_p


def _scores(cases: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.arange(cases) % 2 == 0
    return truth, random.normal(0, 1, cases) + shift * truth


def test_a_model_does_not_differ_from_itself() -> None:
    truth, scores = _scores(40, 1, 0)
    assert delong_p(truth, scores, scores) == 1
    assert wilcoxon_p(scores, scores) == 1


@settings(deadline=None)
@given(st.integers(0, 200))
def test_the_order_of_the_models_does_not_matter(seed: int) -> None:
    truth, first = _scores(30, 1, seed)
    second = _scores(30, 0.5, seed + 1000)[1]
    assert delong_p(truth, first, second) == pytest.approx(delong_p(truth, second, first))
    assert wilcoxon_p(first, second) == pytest.approx(wilcoxon_p(second, first))


def test_delong_agrees_with_the_bootstrap() -> None:
    truth, first = _scores(300, 1.0, 5)
    second = first * 0.5 + _scores(300, 0.4, 6)[1]
    random = np.random.default_rng(0)
    positives, negatives = np.flatnonzero(truth), np.flatnonzero(~truth)
    differences = []
    for _ in range(400):
        chosen = np.concatenate([random.choice(positives, len(positives)), random.choice(negatives, len(negatives))])
        differences.append(area_under_roc(truth[chosen], first[chosen]) - area_under_roc(truth[chosen], second[chosen]))
    difference = area_under_roc(truth, first) - area_under_roc(truth, second)
    expected = float(difference / np.std(differences))
    found = float(norm.isf(delong_p(truth, first, second) / 2))
    assert found == pytest.approx(abs(expected), rel=0.12)


def test_chance_alone_is_called_a_difference_as_often_as_the_level_says() -> None:
    truth = np.arange(80) % 2 == 0
    random = np.random.default_rng(3)
    called = [delong_p(truth, random.normal(0, 1, 80) + truth, random.normal(0, 1, 80) + truth) < 0.05 for _ in range(400)]
    assert 0.02 < np.mean(called) < 0.09


def test_a_clear_difference_is_seen() -> None:
    truth, strong = _scores(200, 2.5, 1)
    weak = _scores(200, 0.2, 2)[1]
    assert delong_p(truth, strong, weak) < 1e-6
    assert wilcoxon_p(np.linspace(0.9, 0.95, 12), np.linspace(0.8, 0.9, 12)) < 0.01


def test_too_few_cases_have_no_p() -> None:
    assert math.isnan(delong_p(np.array([True, False, False]), np.array([0.9, 0.1, 0.2]), np.array([0.3, 0.1, 0.2])))
    assert math.isnan(wilcoxon_p(np.array([]), np.array([])))
