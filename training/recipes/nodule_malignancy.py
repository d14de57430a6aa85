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

from engine.catalog._nodule_reading import CLASSIFIER, DETECTOR
from engine.catalog._nodule_risk import PUBLISHED
from engine.models import Intensity, ModelPackage
from engine.networks.build import build_network
from engine.sliding_window import predict
from training.bundle_metadata import bundle_metadata
from training.cases import Case, CaseStore
from training.export import write_package
from training.fit import fit
from training.phantoms.nodules import NodulePhantom, nodule_patch
from training.plan import Plan
from training.recipes._nodule_malignancy_examples import (
    Detect,
    ExampleBatches,
    Examples,
    Make,
    class_loss,
    examples_of,
    fit_spiculation,
    synthetic,
)
from training.recipes._nodule_malignancy_facts import classifier_facts, detector_facts
from training.recipes._nodule_malignancy_real import RealNodules, real_nodules, union
from training.recipes._nodule_malignancy_samples import NodulePatchSampler, nodule_loss
from training.run import Run

FIRST_EXAMPLE, FIRST_REAL = 100_000, 1_000_000
OUTSIDE_HU = -1024.0
USES = frozenset({"data", "fold"})
CARD = Path(__file__).with_name("nodule_malignancy_card.md")


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


def case_of(phantom: NodulePhantom) -> Case:
    """HU, and within each nodule its diameter in mm."""
    diameters = [0, *(max(1, round(truth.diameter_mm)) for truth in phantom.truths)]
    return phantom.hu, np.array(diameters, np.uint8)[phantom.labels]


def train(settings: Settings, run: Run) -> nn.Module:
    """Both networks, by the names of their packages; real nodules of the run's data are learnt from beside the phantoms."""
    real = real_nodules(run)
    detector = _untrained(settings.detector, settings.detector_plan)
    make = _maker(nodule_patch, real)
    store = CaseStore(run.cases, lambda number: case_of(make(number)))
    numbers = union(range(settings.phantoms), real, FIRST_REAL)
    sampler = NodulePatchSampler(store, numbers, settings.window, settings.intensity, settings.batch)
    fit(detector, sampler, settings.detector_plan, run.folder / "detector.pt", loss=nodule_loss, watch=run.watch)
    classifier = _untrained(settings.classifier, settings.classifier_plan)
    batches = ExampleBatches(_examples(detector, settings, run), settings.intensity, settings.example_batch)
    fit(classifier, batches, settings.classifier_plan, run.checkpoint, loss=class_loss, watch=run.watch)
    return nn.ModuleDict({DETECTOR: detector, CLASSIFIER: classifier})


def export(network: nn.Module, settings: Settings, run: Run) -> ModelPackage:
    """Both packages with their card; the classifier's is returned."""
    folder = run.folder / "nodule_malignancy"
    parts = dict(network.named_children())
    filled = CARD.read_text(encoding="utf-8").format(
        version=settings.version,
        phantoms=f"{settings.phantoms} in {settings.detector_plan.steps} steps",
        example_phantoms=f"{settings.example_phantoms} in {settings.classifier_plan.steps} steps",
    )
    card = run.told(filled)
    shared = settings.intensity, settings.context_voxels, run.data is not None
    detector = detector_facts(settings.version, settings.detector, settings.spacing_mm, *shared)
    classifier = classifier_facts(settings.version, settings.classifier, *shared)
    write_package(folder / DETECTOR, parts[DETECTOR], bundle_metadata(detector), card)
    real = real_nodules(run)
    size = real.size_model() if real else PUBLISHED
    intercept, roughness = fit_spiculation(_examples(parts[DETECTOR], settings, run))
    fitted = {
        "size_slope": size.slope,
        "size_intercept": size.intercept,
        "spiculation_intercept": intercept,
        "spiculation_roughness": roughness,
    }
    metadata = bundle_metadata(classifier) | {"fitted": fitted}
    return write_package(folder / CLASSIFIER, parts[CLASSIFIER], metadata, card)


def _maker(phantom: Make, real: RealNodules | None) -> Make:
    """Phantoms by their numbers, and from FIRST_REAL on real nodules."""
    return lambda number: real.load(number - FIRST_REAL) if real and number >= FIRST_REAL else phantom(number)


def _untrained(definition: dict[str, Any], plan: Plan) -> nn.Module:
    torch.manual_seed(plan.seed)
    network = build_network(definition)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network


def _examples(detector: nn.Module, settings: Settings, run: Run) -> Examples:
    real = real_nodules(run)
    numbers = union(range(FIRST_EXAMPLE, FIRST_EXAMPLE + settings.example_phantoms), real, FIRST_REAL)
    return examples_of(numbers, _maker(synthetic, real), _detecting(detector, settings), run.folder / "examples")


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
