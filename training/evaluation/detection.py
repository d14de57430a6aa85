"""The report's chapter on finding lesions: FROC, sensitivity at fixed false positives, CPM."""

import math
from collections.abc import Callable, Sequence

from jaxtyping import Int
from numpy import ndarray

from training.evaluation.document import Figure, Picture, Section
from training.evaluation.plots import plot_froc
from training.evaluation.run import CaseResult
from training.metrics.detection import (
    FALSE_POSITIVES_PER_SCAN,
    FrocCurve,
    ScanMatch,
    competition_performance_metric,
    froc,
    sensitivity_at,
)
from training.metrics.intervals import Interval, bootstrap

Scans = Sequence[ScanMatch]


def detection_section(results: Sequence[CaseResult], seed: int = 0) -> Section | None:
    """Over the cases whose lesions are known; None where there are none."""
    structures = list(dict.fromkeys(name for result in results for name in result.detection))
    figures: list[Figure] = []
    curves: dict[str, FrocCurve] = {}
    for structure in structures:
        scanned = [result for result in results if structure in result.detection]
        scans = [result.detection[structure] for result in scanned]
        lesions = sum(len(scan.found) for scan in scans)
        figures += _figures(f"{structure} ({lesions} in {len(scans)} scans)", scans, [r.patient for r in scanned], seed)
        if lesions:
            curves[structure] = froc(scans)
    if not figures:
        return None
    return Section(
        title="Detection",
        text=(
            "A finding whose centre lies within a true lesion's radius of its centre finds it (the rule of LUNA16). n: scans.",
        ),
        figures=tuple(figures),
        pictures=(Picture("FROC.", plot_froc(curves)),) if curves else (),
    )


def false_positives_per_scan(scans: Scans) -> float:
    """With every candidate taken."""
    return sum(len(scan.false_positives) for scan in scans) / len(scans)


def sensitivity(scans: Scans) -> float:
    """With every candidate taken; nan without lesions."""
    found = [value for scan in scans for value in scan.found]
    return sum(not math.isnan(value) for value in found) / len(found) if found else math.nan


def _figures(name: str, scans: Scans, patients: Sequence[str], seed: int) -> list[Figure]:
    def measure(figure: Callable[[Scans], float]) -> Interval:
        def over(chosen: Int[ndarray, "chosen"]) -> float:
            return figure([scans[int(index)] for index in chosen])

        return bootstrap(over, patients, seed)

    def at(rate: float) -> Callable[[Scans], float]:
        return lambda chosen: _on_curve(chosen, lambda curve: sensitivity_at(curve, rate))

    figures = [
        Figure("sensitivity, all candidates", name, measure(sensitivity)),
        Figure("false positives per scan, all candidates", name, measure(false_positives_per_scan)),
    ]
    figures += [Figure(f"sensitivity at {rate:g} per scan", name, measure(at(rate))) for rate in FALSE_POSITIVES_PER_SCAN]
    figures.append(Figure("CPM", name, measure(lambda chosen: _on_curve(chosen, competition_performance_metric))))
    return figures


def _on_curve(scans: Scans, figure: Callable[[FrocCurve], float]) -> float:
    return figure(froc(scans)) if any(scan.found for scan in scans) else math.nan
