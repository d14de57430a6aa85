"""The labelled nodules beside the repository: how well malignancy is judged, and how well nodules are drawn."""

from typing import Any

from tests.real_data import RealData
from training.evaluation.classification import Measure, measure_cases
from training.evaluation.document import Figure
from training.evaluation.nodule_patches import MODELS, judge_patches, load_judge, patches_of
from training.evaluation.nodules import drawing_section
from training.metrics.calibration import brier_score, expected_calibration_error
from training.metrics.classification import area_under_roc
from training.readers.patch_arrays import read_patch_arrays

NODULES = "nodules_labelled_100.npz"
SPACING_MM = (1.0, 1.0, 1.0)
WINDOW_HU = (-1200.0, 400.0)
"""The window behind the file's eight bits, told by the peaks of lung, fat, muscle and air."""
MEASURES: dict[str, Measure] = {"AUC": area_under_roc, "ECE": expected_calibration_error, "Brier": brier_score}


def nodule_figures(data: RealData) -> list[dict[str, Any]]:
    """Figures with intervals as text and as numbers; a sentence where the file is not here."""
    if not (data.source / NODULES).is_file():
        return [{"text": f"{NODULES} is not here."}]
    patches = patches_of(read_patch_arrays(data.source / NODULES, SPACING_MM), WINDOW_HU)
    results = list(judge_patches(load_judge(), patches))
    cases = [result.case for result in results]
    positive = sum(case.positive for case in cases)
    figures = [Figure(name, model, measure_cases(cases, model, each)) for model in MODELS for name, each in MEASURES.items()]
    rated = (
        f"{len(cases)} of 100 labelled nodules (LIDC, test only), {positive} rated 4 or 5 and {len(cases) - positive} 1 or 2"
    )
    return [{"text": f"{rated}:"}, *(_told(figure) for figure in (*figures, *drawing_section(results).figures))]


def _told(figure: Figure) -> dict[str, Any]:
    interval = figure.interval
    return {
        "text": f"{figure.of}: {figure.name} {interval}",
        "name": figure.name,
        "of": figure.of,
        "estimate": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "n": interval.cases,
    }
