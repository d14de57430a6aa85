"""What the packages of the engine nodule-malignancy say of themselves."""

from collections.abc import Mapping
from typing import Any

from engine.models import Intensity
from training.bundle_metadata import ModelFacts
from training.recipes._nodule_malignancy_examples import STEP_MM

SOURCE = "Synthetic lung patches of training/phantoms/nodules.py, labelled by published relations; no patient's image"
SOURCE_WITH_DATA = "Synthetic lung patches, and rated nodules of the data given to the training; see there for their licence"


def detector_facts(
    version: str,
    network: Mapping[str, Any],
    spacing_mm: tuple[float, float, float],
    intensity: Intensity,
    context_voxels: int,
    real: bool,  # noqa: FBT001 - the same three for both packages
) -> ModelFacts:
    return ModelFacts(
        name="dicom-node lung nodule detector",
        version=version,
        task="Segmentation of lung nodules on CT",
        data_source=SOURCE_WITH_DATA if real else SOURCE,
        modality="CT",
        network=network,
        spacing_mm=spacing_mm,
        intensity=intensity,
        labels=("background", "nodule"),
        context_voxels=context_voxels,
    )


def classifier_facts(
    version: str,
    network: Mapping[str, Any],
    intensity: Intensity,
    context_voxels: int,
    real: bool,  # noqa: FBT001 - the same three for both packages
) -> ModelFacts:
    return ModelFacts(
        name="dicom-node nodule malignancy",
        version=version,
        task="Malignancy of lung nodules on CT",
        data_source=SOURCE_WITH_DATA if real else SOURCE,
        modality="CT",
        network=network,
        spacing_mm=(STEP_MM,) * 3,
        intensity=intensity,
        labels=("no nodule", "benign nodule", "malignant nodule"),
        context_voxels=context_voxels,
        channels=("image", "detector's probability"),
    )
