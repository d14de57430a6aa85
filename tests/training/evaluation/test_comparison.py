import math

import numpy as np
import pytest

from training.evaluation.cases import ScoredCase
from training.evaluation.comparison import Comparison, Verdict, compare_classification, overall, verdict_in_words
from training.metrics.intervals import Interval


def _comparison(low: float, high: float, p: float) -> Comparison:
    middle = Interval((low + high) / 2, low, high, 20, 20)
    return Comparison("Dice", "liver", middle, middle, middle, p, "Wilcoxon signed-rank", relevant=0.005)


def _scored(count: int, strength: float, seed: int, patients: int | None = None) -> list[ScoredCase]:
    random = np.random.default_rng(seed)
    cases = []
    for number in range(count):
        positive = number % 2 == 0
        score = 1 / (1 + math.exp(-random.normal(strength * (1 if positive else -1), 1)))
        cases.append(ScoredCase(f"case-{number}", f"P{number % (patients or count)}", positive, {"network": score}))
    return cases


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict"),
    [
        (0.01, 0.03, 0.001, Verdict.REPLACE),
        (-0.03, -0.01, 0.001, Verdict.KEEP),
        (-0.004, 0.004, 0.9, Verdict.KEEP),
        (-0.02, 0.03, 0.5, Verdict.UNDECIDED),
        (0.01, 0.03, 0.06, Verdict.UNDECIDED),
        (math.nan, math.nan, math.nan, Verdict.UNDECIDED),
    ],
)
def test_a_verdict_needs_more_than_chance(low: float, high: float, p: float, verdict: Verdict) -> None:
    assert _comparison(low, high, p).verdict is verdict


def test_better_in_one_thing_and_worse_in_another_keeps_the_champion() -> None:
    better, worse = _comparison(0.01, 0.03, 0.001), _comparison(-0.03, -0.01, 0.001)
    same, unknown = _comparison(-0.004, 0.004, 0.9), _comparison(-0.02, 0.03, 0.5)
    assert overall([better, worse]) is Verdict.KEEP
    assert overall([better, same]) is overall([better, unknown]) is Verdict.REPLACE
    assert overall([same, unknown]) is Verdict.UNDECIDED
    assert verdict_in_words([same]).startswith("Keep the champion")


def test_a_stronger_classifier_replaces_the_champion() -> None:
    found = compare_classification(_scored(200, 0.3, 1), _scored(200, 2.0, 2), "network")
    assert found.verdict is Verdict.REPLACE
    assert found.test == "DeLong"
    assert "network: champion 0.6" in str(found)


def test_several_cases_of_a_patient_are_tested_by_patient() -> None:
    found = compare_classification(_scored(80, 0.3, 1, patients=20), _scored(80, 2.0, 2, patients=20), "network")
    assert found.test == "bootstrap by patient"
    assert found.difference.patients == 20
    assert found.p < 0.001


def test_different_cases_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different cases"):
        compare_classification(_scored(10, 1, 1), _scored(12, 1, 1), "network")
