"""Phantoms as labelled cases, from seeds that no recipe trains on or chooses by."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Int16

from engine.volume import Volume
from training.errors import TrainingError
from training.evaluate import MINIMUM_TRUTH_ML, volume_of
from training.evaluation.cases import LabelledVolume, attributes_of, lesions_of
from training.phantoms.abdomen import LESION, LESION_SHAPE, LESION_SPACING_MM, abdomen
from training.phantoms.head import ENHANCING, TUMOUR, head
from training.phantoms.thorax import LEFT_LUNG, RIGHT_LUNG, thorax

FIRST_HELD_OUT_SEED = 900_000
NODULE_SPACING_MM, NODULE_SHAPE = (2.0, 1.2, 1.2), (152, 256, 304)

Spacing = tuple[float, float, float]


def phantom_cases(engine: str, count: int) -> Iterator[LabelledVolume]:
    """That many cases, each made when it is asked for.

    Raises:
        TrainingError: there are no phantoms for this engine.
    """
    make = _MAKERS.get(engine)
    if make is None:
        raise TrainingError(f"there are no phantoms to evaluate {engine!r} on; there are for: {', '.join(sorted(_MAKERS))}")
    return (make(FIRST_HELD_OUT_SEED + number) for number in range(count))


def _lungs(seed: int) -> LabelledVolume:
    phantom = thorax(seed)
    case = _case(seed, phantom.hu, phantom.spacing_mm)
    truth = {"right-lung": phantom.labels == RIGHT_LUNG, "left-lung": phantom.labels == LEFT_LUNG}
    kept = {key: mask for key, mask in truth.items() if case.volume.volume_ml(mask) >= MINIMUM_TRUTH_ML}
    return replace(case, truth=kept)


def _nodules(seed: int) -> LabelledVolume:
    phantom = thorax(seed, NODULE_SPACING_MM, NODULE_SHAPE)
    case = _case(seed, phantom.hu, phantom.spacing_mm)
    lesions = lesions_of(phantom.nodules, case.volume.affine)
    return replace(case, truth={"nodule": phantom.nodules}, lesions={"nodule": lesions})


def _liver(seed: int) -> LabelledVolume:
    phantom = abdomen(seed, LESION_SPACING_MM, LESION_SHAPE, close=True)
    case = _case(seed, phantom.hu, phantom.spacing_mm)
    lesion = phantom.labels == LESION
    truth = {"liver": phantom.labels > 0, "lesion": lesion}
    return replace(case, truth=truth, lesions={"lesion": lesions_of(lesion, case.volume.affine)})


def _brain(seed: int) -> LabelledVolume:
    phantom = head(seed)
    flair, contrast_t1 = (_mr(array, phantom.spacing_mm) for array in (phantom.flair, phantom.contrast_t1))
    return LabelledVolume(
        key=f"phantom-{seed}",
        patient=f"phantom-{seed}",
        volume=flair,
        truth={"tumour": phantom.labels >= TUMOUR, "enhancing": phantom.labels == ENHANCING},
        companions={"t1c": contrast_t1},
        attributes={"skull": "stripped" if phantom.stripped else "whole head"},
    )


_MAKERS: dict[str, Callable[[int], LabelledVolume]] = {
    "lung-segmentation": _lungs,
    "nodule-malignancy": _nodules,
    "liver-tumor": _liver,
    "brain-tumor": _brain,
}


def _case(seed: int, hu: Int16[np.ndarray, "slices rows columns"], spacing_mm: Spacing) -> LabelledVolume:
    volume = volume_of(hu, spacing_mm)
    name = f"phantom-{seed}"
    return LabelledVolume(name, name, volume, {}, attributes=attributes_of(volume, maker="synthetic"))


def _mr(values: Int16[np.ndarray, "slices rows columns"], spacing_mm: Spacing) -> Volume:
    return replace(volume_of(values, spacing_mm), modality="MR")
