"""The models of the engine nodule-malignancy: a detector that draws nodules and a classifier that judges them.

`dicom-node train nodule-malignancy --output RUN` writes the packages RUN/nodule_malignancy/detector and .../classifier.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from engine.catalog.nodule_malignancy import CLASSIFIER, DETECTOR
from engine.models import Intensity, ModelPackage
from engine.networks.build import build_network
from engine.sliding_window import predict
from training.bundle_metadata import ModelFacts, bundle_metadata
from training.cases import Case, CaseStore
from training.export import write_package
from training.fit import fit
from training.phantoms.nodules import nodule_patch
from training.plan import Plan
from training.recipes._nodule_malignancy_examples import (
    STEP_MM,
    Detect,
    ExampleBatches,
    Examples,
    class_loss,
    examples_of,
    fit_spiculation,
)
from training.recipes._nodule_malignancy_samples import NodulePatchSampler, nodule_loss
from training.run import Run

FIRST_EXAMPLE = 100_000
OUTSIDE_HU = -1024.0
CARD = Path(__file__).with_name("nodule_malignancy_card.md")
SOURCE = "Synthetic lung patches of training/phantoms/nodules.py, labelled by published relations; no patient's image"


@dataclass(frozen=True, slots=True)
class Settings:
    """The values stand in conf/recipes/nodule-malignancy.toml.

    Attributes:
        phantoms: to train the detector on.
        window: of them that the detector sees at once, voxels.
        example_phantoms: whose candidates the classifier learns from.
        spacing_mm: of the grid on which the detector looks for candidates.
    """

    version: str
    phantoms: int
    example_phantoms: int
    window: tuple[int, int, int]
    batch: int
    example_batch: int
    spacing_mm: tuple[float, float, float]
    intensity: Intensity
    context_voxels: int
    detector: dict[str, Any]
    classifier: dict[str, Any]
    detector_plan: Plan
    classifier_plan: Plan


def make_case(number: int) -> Case:
    """HU, and within each nodule its diameter in mm."""
    phantom = nodule_patch(number)
    diameters = [0, *(max(1, round(truth.diameter_mm)) for truth in phantom.truths)]
    return phantom.hu, np.array(diameters, np.uint8)[phantom.labels]


def train(settings: Settings, run: Run) -> nn.Module:
    """Both networks, by the names of their packages."""
    detector = _untrained(settings.detector, settings.detector_plan)
    sampler = NodulePatchSampler(
        CaseStore(run.cases, make_case), range(settings.phantoms), settings.window, settings.intensity, settings.batch
    )
    fit(detector, sampler, settings.detector_plan, run.folder / "detector.pt", loss=nodule_loss, watch=run.watch)
    classifier = _untrained(settings.classifier, settings.classifier_plan)
    batches = ExampleBatches(_examples(detector, settings, run), settings.intensity, settings.example_batch)
    fit(classifier, batches, settings.classifier_plan, run.checkpoint, loss=class_loss, watch=run.watch)
    return nn.ModuleDict({DETECTOR: detector, CLASSIFIER: classifier})


def export(network: nn.Module, settings: Settings, run: Run) -> ModelPackage:
    """Both packages with their card; the classifier's is returned."""
    folder = run.folder / "nodule_malignancy"
    parts = dict(network.named_children())
    card = CARD.read_text(encoding="utf-8").format(
        version=settings.version, phantoms=settings.phantoms, example_phantoms=settings.example_phantoms
    )
    write_package(folder / DETECTOR, parts[DETECTOR], bundle_metadata(_detector_facts(settings)), card)
    intercept, roughness = fit_spiculation(_examples(parts[DETECTOR], settings, run))
    fitted = {"fitted": {"spiculation_intercept": intercept, "spiculation_roughness": roughness}}
    return write_package(folder / CLASSIFIER, parts[CLASSIFIER], bundle_metadata(_classifier_facts(settings)) | fitted, card)


def _untrained(definition: dict[str, Any], plan: Plan) -> nn.Module:
    torch.manual_seed(plan.seed)
    network = build_network(definition)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network


def _examples(detector: nn.Module, settings: Settings, run: Run) -> Examples:
    numbers = range(FIRST_EXAMPLE, FIRST_EXAMPLE + settings.example_phantoms)
    return examples_of(numbers, _detecting(detector, settings), run.folder / "examples")


def _detecting(detector: nn.Module, settings: Settings) -> Detect:
    outside = float(settings.intensity(torch.tensor(OUTSIDE_HU)))

    def detect(hu: Float32[Tensor, "slices rows columns"]) -> Float32[np.ndarray, "slices rows columns"]:
        found = predict(
            detector,
            settings.intensity(hu),
            outside=outside,
            context=settings.context_voxels,
            device=next(detector.parameters()).device,
        )
        return np.asarray(found.logits.softmax(0)[1].numpy())

    return detect


def _detector_facts(settings: Settings) -> ModelFacts:
    return ModelFacts(
        name="dicom-node lung nodule detector",
        version=settings.version,
        task="Segmentation of lung nodules on CT",
        data_source=SOURCE,
        modality="CT",
        network=settings.detector,
        spacing_mm=settings.spacing_mm,
        intensity=settings.intensity,
        labels=("background", "nodule"),
        context_voxels=settings.context_voxels,
    )


def _classifier_facts(settings: Settings) -> ModelFacts:
    return ModelFacts(
        name="dicom-node nodule malignancy",
        version=settings.version,
        task="Malignancy of lung nodules on CT",
        data_source=SOURCE,
        modality="CT",
        network=settings.classifier,
        spacing_mm=(STEP_MM,) * 3,
        intensity=settings.intensity,
        labels=("no nodule", "benign nodule", "malignant nodule"),
        context_voxels=settings.context_voxels,
        channels=("image", "detector's probability"),
    )
