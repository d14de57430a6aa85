"""How well a probability tells two classes apart, and how often a decision is right.

What the bootstrap calls thousands of times is counted with NumPy; the tests hold it to scikit-learn's answers.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix, roc_curve

Truth = Bool[np.ndarray, "cases"]
Scores = Float[np.ndarray, "cases"]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Cases by truth and decision."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int

    @property
    def accuracy(self) -> float:
        right = self.true_positive + self.true_negative
        return _share(right, right + self.false_positive + self.false_negative)

    @property
    def sensitivity(self) -> float:
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> float:
        return _share(self.true_negative, self.true_negative + self.false_positive)


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold gives: a case at or above it is called positive."""

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class RocCurve:
    """Receiver operating characteristic, from the strictest threshold to the laxest."""

    false_positive_rate: Float[np.ndarray, "points"]
    true_positive_rate: Float[np.ndarray, "points"]
    thresholds: Float[np.ndarray, "points"]


def confusion(truth: Truth, scores: Scores, threshold: float = 0.5) -> Confusion:
    """Decisions at a threshold; a score equal to it is positive."""
    answers = scores >= threshold
    return Confusion(
        true_positive=int(np.count_nonzero(answers & truth)),
        false_positive=int(np.count_nonzero(answers & ~truth)),
        true_negative=int(np.count_nonzero(~answers & ~truth)),
        false_negative=int(np.count_nonzero(~answers & truth)),
    )


def confusion_table(truth: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Counts [true class, answered class] of class numbers from 0."""
    return np.asarray(confusion_matrix(truth, answers, labels=list(range(classes))))


def area_under_roc(truth: Truth, scores: Scores) -> float:
    """The chance that a positive case scores above a negative one, ties counted half; nan where a class is missing."""
    if not _both_classes(truth):
        return math.nan
    positives = np.count_nonzero(truth)
    rank_sum = float(rankdata(scores)[truth].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * (len(truth) - positives))


def roc(truth: Truth, scores: Scores) -> RocCurve:
    """Every threshold that changes a decision.

    Raises:
        ValueError: a class is missing.
    """
    if not _both_classes(truth):
        raise ValueError("a ROC curve needs cases of both classes")
    false_positive_rate, true_positive_rate, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    return RocCurve(false_positive_rate, true_positive_rate, thresholds)


def sensitivity_at_specificity(truth: Truth, scores: Scores, specificity: float) -> OperatingPoint:
    """The most sensitive threshold whose specificity is at least that; nan where a class is missing."""
    if not _both_classes(truth):
        return OperatingPoint(math.nan, math.nan, math.nan)
    thresholds = np.append(np.unique(scores), math.inf)
    specificities = np.searchsorted(np.sort(scores[~truth]), thresholds) / np.count_nonzero(~truth)
    best = int(np.argmax(specificities >= specificity - 1e-9))
    sensitivity = np.count_nonzero(scores[truth] >= thresholds[best]) / np.count_nonzero(truth)
    return OperatingPoint(float(thresholds[best]), sensitivity, float(specificities[best]))


def _both_classes(truth: Truth) -> bool:
    return bool(truth.any() and not truth.all())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
