"""The model of the engine lung-segmentation: right lung, left lung and airway at 3 mm, learnt from thorax phantoms.

`dicom-node train lung-segmentation --output RUN` writes the model package RUN/lung_segmentation.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.api import Context
from engine.catalog.lung_segmentation import LungSegmentation
from engine.models import Intensity, ModelPackage
from engine.networks.build import build_network
from training.augmentation import AugmentationChoice, make_augmentation
from training.bundle_metadata import ModelFacts, bundle_metadata
from training.cases import Case, CaseStore
from training.export import write_package
from training.fit import fit
from training.phantoms.thorax import AIRWAY, TRAINING_SPACING_MM, thorax
from training.plan import Plan
from training.recipes._lung_segmentation_score import score_engine
from training.run import Run
from training.sampling import PatchBatches, PatchChoice, Pool

FIRST_VALIDATION = 100_000
OUTSIDE_HU = -1024.0
LABELS = ("background", "right lung", "left lung", "airway")
CARD = Path(__file__).with_name("lung_segmentation_card.md")


@dataclass(frozen=True, slots=True)
class Settings:
    """The values stand in conf/recipes/lung-segmentation.toml.

    Attributes:
        phantoms: to train on.
        validation_phantoms: to measure the whole engine on.
    """

    version: str
    phantoms: int
    validation_phantoms: int
    network: dict[str, Any]
    intensity: Intensity
    context_voxels: int
    plan: Plan
    patches: PatchChoice = field(default_factory=PatchChoice)
    augmentation: AugmentationChoice = field(default_factory=AugmentationChoice)


def make_case(number: int) -> Case:
    """HU and labels of a phantom, the airway among them."""
    phantom = thorax(number)
    labels = phantom.labels.copy()
    labels[phantom.airway] = AIRWAY
    return phantom.hu, labels


def train(settings: Settings, run: Run) -> nn.Module:
    torch.manual_seed(settings.plan.seed)
    network = build_network(settings.network)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    batches = PatchBatches(
        Pool(CaseStore(run.cases, make_case).load, range(settings.phantoms)),
        settings.patches,
        settings.intensity,
        make_augmentation(settings.augmentation),
        OUTSIDE_HU,
    )
    return fit(network, batches, settings.plan, run.checkpoint, watch=run.watch)


def export(network: nn.Module, settings: Settings, run: Run) -> ModelPackage:
    """The package with its card; the score on the validation phantoms is that of the whole engine."""
    folder = run.folder / "lung_segmentation"
    facts = ModelFacts(
        name="dicom-node lung segmentation",
        version=settings.version,
        task="Segmentation of the right and the left lung on CT",
        data_source="Synthetic thorax phantoms of training/phantoms/thorax.py; no patient's image",
        modality="CT",
        network=settings.network,
        spacing_mm=TRAINING_SPACING_MM,
        intensity=settings.intensity,
        labels=LABELS,
        context_voxels=settings.context_voxels,
    )
    card = CARD.read_text(encoding="utf-8")
    write_package(folder, network, bundle_metadata(facts), card)
    engine = LungSegmentation(Context(device="cpu", options={"package": str(folder)}))
    numbers = range(FIRST_VALIDATION, FIRST_VALIDATION + settings.validation_phantoms)
    score = score_engine(engine, numbers)
    filled = card.format(version=settings.version, phantoms=settings.phantoms, cases=settings.validation_phantoms, score=score)
    return write_package(folder, network, bundle_metadata(facts), filled)
