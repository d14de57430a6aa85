"""Two models on the same cases: is the difference more than chance?"""

import math

import numpy as np
from jaxtyping import Float
from scipy.stats import norm, rankdata, wilcoxon

from training.metrics.classification import Scores, Truth

Values = Float[np.ndarray, "cases"]


def wilcoxon_p(first: Values, second: Values) -> float:
    """Two-sided p of the Wilcoxon signed-rank test; 1 where no case differs, nan without cases."""
    if not len(first):
        return math.nan
    if np.array_equal(first, second):
        return 1.0
    return float(wilcoxon(first, second, zero_method="wilcox", method="auto").pvalue)


def delong_p(truth: Truth, first: Scores, second: Scores) -> float:
    """Two-sided p of DeLong's test for two areas under the ROC curve on the same independent cases.

    Nan where a class has fewer than two cases; 1 where both models order the cases alike.

    Source: DeLong et al., 1988; ranks as Sun and Xu, 2014, "Fast implementation of DeLong's algorithm".
    """
    if min(np.count_nonzero(truth), np.count_nonzero(~truth)) < 2:
        return math.nan
    parts = [_placements(truth, scores) for scores in (first, second)]
    difference = float(parts[0][0].mean() - parts[1][0].mean())
    of_positives = np.cov(np.stack([positives for positives, _ in parts]))
    of_negatives = np.cov(np.stack([negatives for _, negatives in parts]))
    covariance = of_positives / np.count_nonzero(truth) + of_negatives / np.count_nonzero(~truth)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= 1e-15:
        return 1.0 if difference == 0 else 0.0
    return float(2 * norm.sf(abs(difference) / math.sqrt(variance)))


def _placements(truth: Truth, scores: Scores) -> tuple[Values, Values]:
    """For each positive the share of negatives below it, for each negative the share of positives above it; ties half."""
    positives, negatives = scores[truth], scores[~truth]
    ranks = rankdata(np.concatenate([positives, negatives]))
    above = (ranks[: len(positives)] - rankdata(positives)) / len(negatives)
    below = 1 - (ranks[len(positives) :] - rankdata(negatives)) / len(positives)
    return above, below
