import math
from dataclasses import replace

import numpy as np
import pytest

from training.evaluation.cases import ScoredCase
from training.evaluation.comparison import (
    Comparison,
    Verdict,
    compare_classification,
    compare_segmentation,
    comparison_section,
    overall,
    verdict_in_words,
    what_dice_leaves_out,
)
from training.evaluation.run import REFUSED, CaseResult, StructureScore
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


def test_of_several_figures_one_must_be_better_by_more() -> None:
    comparison = _comparison(0.01, 0.03, 0.02)
    assert comparison.verdict is Verdict.REPLACE
    among = replace(comparison, among=3)
    assert among.verdict is Verdict.UNDECIDED
    assert replace(comparison, among=3, p=0.01).verdict is Verdict.REPLACE
    assert "from p < 0.017 (Bonferroni)" in " ".join(comparison_section([among], "old").text)
    assert "Bonferroni" not in " ".join(comparison_section([comparison], "old").text)


def test_nothing_to_compare_decides_nothing() -> None:
    assert overall([]) is Verdict.UNDECIDED


def _result(number: int, dice: float, truth_ml: float, found_ml: float = 1.0, outcome: str = "findings") -> CaseResult:
    score = StructureScore("lesion", dice, dice, dice, 0.0, truth_ml, found_ml)
    return CaseResult(f"case-{number}", f"P{number}", {}, outcome, "", (), (score,), {}, {}, b"", 0.1)


def test_cases_without_a_structure_are_left_out_of_its_dice() -> None:
    champion = [*(_result(number, 0.8, 5) for number in range(4)), _result(4, 1.0, 0, found_ml=0)]
    challenger = [*(_result(number, 0.9, 5) for number in range(4)), _result(4, 0.0, 0, found_ml=3)]
    (found,) = compare_segmentation(champion, challenger)
    assert (found.champion.estimate, found.challenger.estimate) == pytest.approx((0.8, 0.9))
    assert found.difference.cases == 4
    assert compare_segmentation(champion[4:], challenger[4:]) == []
    assert (
        "lesion found where there is none (n = 1): mean 0.0 ml by the champion, 3.0 ml"
        in what_dice_leaves_out(champion, challenger)[1]
    )


def test_refusals_of_both_sides_are_counted() -> None:
    champion, challenger = ([_result(n, 0.5, 5, outcome=said) for n in range(2)] for said in ("findings", REFUSED))
    assert "0 of 2 cases by the champion, 2 by the challenger" in what_dice_leaves_out(champion, challenger)[0]


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
