"""The labelled nodules beside the repository: how well malignancy is judged, and how well nodules are drawn."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.real_data import RealData
from training.evaluation.cases import ScoredCase
from training.evaluation.classification import measure_cases
from training.evaluation.nodule_patches import FEATURE_MODEL, NETWORK, LabelledPatch, load_judge, read_patches
from training.metrics.calibration import brier_score, expected_calibration_error
from training.metrics.classification import area_under_roc
from training.metrics.intervals import bootstrap_mean

NODULES = "nodules_labelled_100.npz"
LOWEST_HU, HIGHEST_HU = -1200.0, 400.0
"""The window behind the file's eight bits, told by the peaks of lung, fat, muscle and air."""
UNCERTAIN = 3
TEXTURES = {1: "non-solid", 2: "non-solid", 3: "part-solid", 4: "solid", 5: "solid"}


def nodule_figures(data: RealData) -> list[dict[str, Any]]:
    """Figures with intervals as text and as numbers; none where the file is not here."""
    if not (data.source / NODULES).is_file():
        return [{"text": f"{NODULES} is not here."}]
    results = list(read_patches(load_judge(), _patches(data)))
    rated = [result.case for result in results if result.case.attributes["rating"] != str(UNCERTAIN)]
    positive = sum(case.positive for case in rated)
    figures = [_drawn(results)]
    for model in (FEATURE_MODEL, NETWORK, "mean of both"):
        cases = [_with_mean(case) for case in rated]
        for name, measure in (("AUC", area_under_roc), ("ECE", expected_calibration_error), ("Brier", brier_score)):
            interval = measure_cases(cases, model, measure)
            text = f"{model}: {name} {interval} ({positive} rated 4 or 5, {len(cases) - positive} rated 1 or 2)"
            figures.append({"text": text, "name": name, "of": model, "estimate": interval.estimate, "n": interval.cases})
    return figures


def _patches(data: RealData) -> Iterator[LabelledPatch]:
    with np.load(data.source / NODULES) as arrays:
        names, ratings, textures = arrays["names"], arrays["malignancy"], arrays["texture"]
        values, masks = arrays["volume_u8"], arrays["mask_packed"]
    for name, rating, texture, value, packed in zip(names, ratings, textures, values, masks, strict=True):
        hu = value.astype(np.float32) * ((HIGHEST_HU - LOWEST_HU) / 255) + LOWEST_HU
        yield LabelledPatch(
            key=str(name),
            patient=str(name).partition("_")[0],
            hu=hu.round().astype(np.int16),
            spacing_mm=(1.0, 1.0, 1.0),
            malignant=int(rating) > UNCERTAIN,
            mask=np.unpackbits(packed, axis=-1)[..., : value.shape[-1]].astype(bool),
            attributes={"rating": str(rating), "texture": TEXTURES[int(texture)]},
        )


def _drawn(results: list[Any]) -> dict[str, Any]:
    drawn = sum(result.drawn for result in results)
    interval = bootstrap_mean(np.array([result.dice for result in results]), [result.case.patient for result in results])
    text = f"Labelled nodules (LIDC, test only): {drawn} of {len(results)} drawn; Dice with the reader's mask {interval}"
    return {"text": text, "name": "Dice", "of": "nodule", "estimate": interval.estimate, "n": interval.cases}


def _with_mean(case: ScoredCase) -> ScoredCase:
    mean = (case.scores[FEATURE_MODEL] + case.scores[NETWORK]) / 2
    return ScoredCase(case.key, case.patient, case.positive, {**case.scores, "mean of both": mean}, case.attributes)
