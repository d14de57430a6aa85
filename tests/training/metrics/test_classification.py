import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

from training.metrics.classification import (
    area_under_roc,
    confusion,
    confusion_table,
    roc,
    sensitivity_at_specificity,
)

TRUTH = np.array([True, True, True, False, False, False, False])
SCORES = np.array([0.9, 0.6, 0.2, 0.7, 0.3, 0.2, 0.1])
CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=30).filter(
    lambda cases: len({truth for truth, _ in cases}) == 2
)


def _pairs_in_order(truth: np.ndarray, scores: np.ndarray) -> float:
    pairs = [(positive > negative) + 0.5 * (positive == negative) for positive in scores[truth] for negative in scores[~truth]]
    return float(np.mean(pairs))


@settings(deadline=None)
@given(CASES)
def test_the_area_is_the_share_of_pairs_in_the_right_order(cases: list[tuple[bool, int]]) -> None:
    truth, scores = np.array([case[0] for case in cases]), np.array([case[1] / 8 for case in cases])
    assert area_under_roc(truth, scores) == pytest.approx(_pairs_in_order(truth, scores))
    assert area_under_roc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))
    assert area_under_roc(~truth, 1 - scores) == pytest.approx(area_under_roc(truth, scores))


def test_without_both_classes_there_is_no_area() -> None:
    assert math.isnan(area_under_roc(np.ones(3, bool), np.array([0.1, 0.2, 0.3])))
    assert math.isnan(sensitivity_at_specificity(np.ones(3, bool), np.array([0.1, 0.2, 0.3]), 0.9).sensitivity)
    with pytest.raises(ValueError, match="both classes"):
        roc(np.zeros(3, bool), np.array([0.1, 0.2, 0.3]))


def test_decisions_agree_with_scikit_learn() -> None:
    table = confusion(TRUTH, SCORES, 0.5)
    answers = SCORES >= 0.5
    assert (table.true_positive, table.false_positive, table.true_negative, table.false_negative) == (2, 1, 3, 1)
    assert table.accuracy == pytest.approx(accuracy_score(TRUTH, answers))
    assert table.sensitivity == pytest.approx(recall_score(TRUTH, answers))
    assert table.specificity == pytest.approx(recall_score(TRUTH, answers, pos_label=False))


def test_a_score_at_the_threshold_is_positive() -> None:
    assert confusion(np.array([True]), np.array([0.5]), 0.5).true_positive == 1


def test_a_share_of_nothing_is_not_defined() -> None:
    assert math.isnan(confusion(np.array([True]), np.array([0.5])).specificity)


@settings(deadline=None)
@given(CASES, st.sampled_from([0.0, 0.5, 0.8, 0.95, 1.0]))
def test_the_operating_point_is_the_most_sensitive_that_keeps_the_specificity(
    cases: list[tuple[bool, int]], specificity: float
) -> None:
    truth, scores = np.array([case[0] for case in cases]), np.array([case[1] / 8 for case in cases])
    point = sensitivity_at_specificity(truth, scores, specificity)
    assert point.specificity >= specificity - 1e-9
    every = [confusion(truth, scores, threshold) for threshold in [*np.unique(scores), math.inf]]
    assert point.sensitivity == max(table.sensitivity for table in every if table.specificity >= specificity - 1e-9)
    at_threshold = confusion(truth, scores, point.threshold)
    assert (at_threshold.sensitivity, at_threshold.specificity) == pytest.approx((point.sensitivity, point.specificity))


def test_a_confusion_table_counts_true_class_by_answer() -> None:
    table = confusion_table(np.array([0, 1, 2, 2]), np.array([0, 2, 2, 2]), 3)
    assert table.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 2]]
