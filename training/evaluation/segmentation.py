"""The report's chapter on segmentation: each structure, subgroups, every case, pictures of the worst and the best."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from training.evaluation.document import Figure, Picture, Section, Table
from training.evaluation.overlay import CAPTION
from training.evaluation.plots import plot_distribution
from training.evaluation.run import CaseResult, StructureScore
from training.metrics.intervals import Interval, bootstrap_mean
from training.metrics.subgroups import subgroups

Column = tuple[str, str, Callable[[StructureScore], float]]
SIZES = ("smallest third", "middle third", "largest third")
MINIMUM_FOR_SIZES = 6


def segmentation_section(results: Sequence[CaseResult], tolerance_mm: float, seed: int = 0) -> Section:
    """Means over the cases that have the structure; a refused case counts as one in which nothing was found."""
    structures = list(dict.fromkeys(score.structure for result in results for score in result.structures))
    every = [
        Figure(name, structure, _mean(_values(results, structure, value), results, seed), unit)
        for structure in structures
        for name, unit, value in _columns(tolerance_mm)
    ]
    figures = [figure for figure in every if figure.interval.cases]
    dices = {structure: _values(results, structure, _dice).tolist() for structure in structures}
    plot = [Picture("Dice of each case, with quartiles.", plot_distribution(dices, "Dice"))] if len(results) > 1 else []
    return Section(
        title="Segmentation",
        text=(
            "Means over the cases that have the structure. A refused case counts as one in which nothing was found.",
            f"Surface Dice at a tolerance of {tolerance_mm:g} mm; HD95 where both truth and result hold the structure.",
        ),
        figures=tuple(figures),
        tables=(*_subgroup_tables(results, structures, seed), _cases(results, structures)),
        pictures=(*plot, *_extremes(results)),
    )


def _columns(tolerance_mm: float) -> tuple[Column, ...]:
    return (
        ("Dice", "", _dice),
        ("IoU", "", lambda score: _if_present(score, score.iou)),
        (f"surface Dice {tolerance_mm:g} mm", "", lambda score: _if_present(score, score.surface_dice)),
        ("HD95", "mm", lambda score: _if_present(score, score.hausdorff_95_mm)),
        ("volume error", "%", lambda score: _if_present(score, score.volume_error_percent)),
        ("absolute volume error", "%", lambda score: _if_present(score, abs(score.volume_error_percent))),
        ("found where there is none", "ml", lambda score: math.nan if score.truth_ml else score.found_ml),
    )


def _dice(score: StructureScore) -> float:
    return _if_present(score, score.dice)


def _if_present(score: StructureScore, value: float) -> float:
    return value if score.truth_ml else math.nan


def _values(
    results: Sequence[CaseResult], structure: str, value: Callable[[StructureScore], float]
) -> Float[np.ndarray, "cases"]:
    """One figure of one structure in each case; nan where the case has no truth for it."""
    by_case = ({score.structure: score for score in result.structures} for result in results)
    return np.array([value(own[structure]) if structure in own else np.nan for own in by_case])


def _mean(values: Float[np.ndarray, "cases"], results: Sequence[CaseResult], seed: int) -> Interval:
    return bootstrap_mean(values, [result.patient for result in results], seed)


def _subgroup_tables(results: Sequence[CaseResult], structures: Sequence[str], seed: int) -> list[Table]:
    """Dice by every attribute that differs between the cases, and by the structure's true size."""
    attributes = list(dict.fromkeys(name for result in results for name in result.attributes))
    tables = []
    for structure in structures:
        dices = _values(results, structure, _dice)

        def mean(chosen: Int[np.ndarray, "chosen"], dices: Float[np.ndarray, "cases"] = dices) -> Interval:
            return _mean(dices[chosen], [results[int(index)] for index in chosen], seed)

        groups = {name: [result.attributes.get(name, "") for result in results] for name in attributes}
        groups["size"] = _sizes(_values(results, structure, lambda score: score.truth_ml))
        lines = [line for name, values in groups.items() for line in subgroups(name, values, mean)]
        rows = [
            (line.attribute, line.value, str(Figure("Dice", "", line.interval)), str(line.interval.cases)) for line in lines
        ]
        if rows:
            tables.append(Table(f"Dice of {structure} by subgroup", ("by", "", "Dice", "n"), tuple(rows)))
    return tables


def _sizes(truth_ml: Float[np.ndarray, "cases"]) -> list[str]:
    known = truth_ml[~np.isnan(truth_ml)]
    if len(known) < MINIMUM_FOR_SIZES:
        return [""] * len(truth_ml)
    limits = np.percentile(known, [100 / 3, 200 / 3])
    return ["" if np.isnan(value) else SIZES[int(np.searchsorted(limits, value, side="right"))] for value in truth_ml]


def _cases(results: Sequence[CaseResult], structures: Sequence[str]) -> Table:
    rows = []
    for result in results:
        own = {score.structure: score for score in result.structures}
        cells = [
            f"{own[name].dice:.3f} ({own[name].found_ml:.0f} of {own[name].truth_ml:.0f} ml)" if name in own else ""
            for name in structures
        ]
        said = result.reason or " ".join(result.remarks)
        rows.append((result.key, result.outcome, *cells, f"{result.seconds:.1f}", said))
    return Table("Every case: Dice (found of true volume)", ("case", "outcome", *structures, "s", "reason"), tuple(rows))


def _extremes(results: Sequence[CaseResult]) -> list[Picture]:
    shown = sorted((result for result in results if result.picture and result.structures), key=lambda r: r.mean_dice)
    if not shown:
        return []
    chosen = {"Worst": shown[0], "Median": shown[len(shown) // 2], "Best": shown[-1]}
    if len(shown) < len(chosen):
        chosen = {"Case": shown[0]} if len(shown) == 1 else {"Worst": shown[0], "Best": shown[-1]}
    return [
        Picture(f"{name}: case {result.key}, mean Dice {result.mean_dice:.3f}. {CAPTION}", result.picture)
        for name, result in chosen.items()
    ]
