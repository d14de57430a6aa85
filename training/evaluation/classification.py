"""The report's chapter on a two-class decision: discrimination, operating points, calibration."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from training.evaluation.cases import ScoredCase
from training.evaluation.document import Figure, Picture, Section, Table
from training.evaluation.plots import plot_confusion, plot_reliability, plot_roc
from training.metrics.calibration import brier_score, expected_calibration_error, reliability
from training.metrics.classification import area_under_roc, confusion, roc, sensitivity_at_specificity
from training.metrics.intervals import Interval, bootstrap
from training.metrics.subgroups import subgroups

FIXED_SPECIFICITIES = (0.9, 0.95)
THRESHOLD = 0.5

Measure = Callable[[Bool[np.ndarray, "cases"], Float[np.ndarray, "cases"]], float]
_MEASURES: dict[str, Measure] = {
    "AUC": area_under_roc,
    "accuracy": lambda truth, scores: confusion(truth, scores, THRESHOLD).accuracy,
    "sensitivity": lambda truth, scores: confusion(truth, scores, THRESHOLD).sensitivity,
    "specificity": lambda truth, scores: confusion(truth, scores, THRESHOLD).specificity,
    **{
        f"sensitivity at specificity {level:g}": lambda truth, scores, level=level: (  # type: ignore[misc]
            sensitivity_at_specificity(truth, scores, level).sensitivity
        )
        for level in FIXED_SPECIFICITIES
    },
    "Brier": brier_score,
    "ECE": expected_calibration_error,
}


def classification_section(cases: Sequence[ScoredCase], positive: str, negative: str, seed: int = 0) -> Section:
    """Every model that scored all cases.

    Args:
        cases: one or more, of both classes for curves.
        positive: the class in words ("malignant").
        negative: the other one.
        seed: of the bootstrap.
    """
    models = [name for name in cases[0].scores if all(name in case.scores for case in cases)]
    truth = np.array([case.positive for case in cases])
    scores = {model: np.array([case.scores[model] for case in cases]) for model in models}
    figures = [
        Figure(name, model, measure_cases(cases, model, measure, seed))
        for model in models
        for name, measure in _MEASURES.items()
    ]
    count = int(truth.sum())
    return Section(
        title=f"{positive.capitalize()} or {negative}",
        text=(
            f"{len(cases)} cases: {count} {positive}, {len(cases) - count} {negative}.",
            f"Accuracy, sensitivity and specificity at a probability of {THRESHOLD:g}; ECE over ten bins of equal width.",
        ),
        figures=tuple(figures),
        tables=tuple(_subgroup_tables(cases, models, seed)),
        pictures=tuple(_pictures(truth, scores, (negative, positive))),
    )


def measure_cases(cases: Sequence[ScoredCase], model: str, measure: Measure, seed: int = 0) -> Interval:
    """A figure of one model over cases, with its interval."""
    truth = np.array([case.positive for case in cases])
    scores = np.array([case.scores[model] for case in cases])

    def over(chosen: Int[np.ndarray, "chosen"]) -> float:
        return measure(truth[chosen], scores[chosen])

    return bootstrap(over, [case.patient for case in cases], seed)


def _subgroup_tables(cases: Sequence[ScoredCase], models: Sequence[str], seed: int) -> list[Table]:
    attributes = list(dict.fromkeys(name for case in cases for name in case.attributes))
    tables = []
    for model in models:

        def area(chosen: Int[np.ndarray, "chosen"], model: str = model) -> Interval:
            return measure_cases([cases[int(index)] for index in chosen], model, area_under_roc, seed)

        groups = {name: [case.attributes.get(name, "") for case in cases] for name in attributes}
        lines = [line for name, values in groups.items() for line in subgroups(name, values, area)]
        rows = [(line.attribute, line.value, str(Figure("", "", line.interval)), str(line.interval.cases)) for line in lines]
        if rows:
            tables.append(Table(f"AUC of the {model} by subgroup", ("by", "", "AUC", "n"), tuple(rows)))
    return tables


def _pictures(
    truth: Bool[np.ndarray, "cases"], scores: dict[str, Float[np.ndarray, "cases"]], classes: tuple[str, str]
) -> list[Picture]:
    pictures = []
    if truth.any() and not truth.all():
        pictures.append(Picture("ROC.", plot_roc({model: roc(truth, own) for model, own in scores.items()})))
    pictures.append(
        Picture(
            "Reliability: a larger dot stands for more cases.",
            plot_reliability({model: reliability(truth, own) for model, own in scores.items()}),
        )
    )
    for model, own in scores.items():
        table = confusion(truth, own, THRESHOLD)
        counts = np.array([[table.true_negative, table.false_positive], [table.false_negative, table.true_positive]])
        pictures.append(Picture(f"Confusion matrix of the {model} at {THRESHOLD:g}.", plot_confusion(counts, classes)))
    return pictures
