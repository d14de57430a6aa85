"""The model of the engine lung-segmentation: right lung, left lung and airway at 3 mm, learnt from thorax phantoms.

`dicom-node train lung-segmentation --output RUN` writes the model package RUN/lung_segmentation.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from engine.api import Context
from engine.catalog.lung_segmentation import LungSegmentation
from engine.models import Intensity, ModelPackage
from training.augmentation import AugmentationChoice, make_augmentation
from training.bundle_metadata import ModelFacts, bundle_metadata
from training.cases import Case, CaseStore
from training.export import write_package
from training.fit import fit
from training.held_out import HeldOut, measure_segmentation
from training.phantoms.thorax import AIRWAY, TRAINING_SPACING_MM, thorax
from training.plan import Plan
from training.real_cases import RealForm, real_cases, with_real
from training.recipes._lung_segmentation_score import score_engine
from training.run import Run
from training.sampling import PatchBatches, PatchChoice, Pool
from training.transfer import starting_network

FIRST_VALIDATION = 100_000
OUTSIDE_HU = -1024.0
LABELS = ("background", "right lung", "left lung", "airway")
OTHER_NAMES = {"lung right": 1, "lung left": 2, "trachea": 3}
REAL = RealForm(LABELS, TRAINING_SPACING_MM, "CT", OUTSIDE_HU, OTHER_NAMES)
USES = frozenset({"data", "fold", "from"})
CARD = Path(__file__).with_name("lung_segmentation_card.md")


@dataclass(frozen=True, slots=True)
class Settings:
    """The values stand in conf/recipes/lung-segmentation.toml.

    Attributes:
        phantoms: to train on.
        validation_phantoms: to measure the whole engine on.
        synthetic_share: of the patches, where there are real cases too.
    """

    version: str
    phantoms: int
    validation_phantoms: int
    network: dict[str, Any]
    intensity: Intensity
    context_voxels: int
    plan: Plan
    synthetic_share: float = 0.5
    patches: PatchChoice = field(default_factory=PatchChoice)
    augmentation: AugmentationChoice = field(default_factory=AugmentationChoice)


def make_case(number: int) -> Case:
    """HU and labels of a phantom, the airway among them."""
    phantom = thorax(number)
    labels = phantom.labels.copy()
    labels[phantom.airway] = AIRWAY
    return phantom.hu, labels


def train(settings: Settings, run: Run) -> nn.Module:
    network = starting_network(settings.network, settings.plan.seed, run.start_from)
    phantoms = Pool(CaseStore(run.cases, make_case).load, range(settings.phantoms))
    batches = PatchBatches(
        with_real(phantoms, real_cases(run, REAL), settings.synthetic_share),
        settings.patches,
        settings.intensity,
        make_augmentation(settings.augmentation),
        OUTSIDE_HU,
    )
    return fit(network, batches, settings.plan, run.checkpoint, watch=run.watch)


def measure_held_out(network: nn.Module, settings: Settings, run: Run) -> HeldOut:
    """What the network alone reaches on the real cases that the run's fold leaves out."""
    real, context = real_cases(run, REAL), settings.context_voxels
    return measure_segmentation(network, real, LABELS, settings.intensity, outside=OUTSIDE_HU, context_voxels=context)


def export(network: nn.Module, settings: Settings, run: Run) -> ModelPackage:
    """The package with its card; the score on the validation phantoms is that of the whole engine."""
    folder = run.folder / "lung_segmentation"
    facts = ModelFacts(
        name="dicom-node lung segmentation",
        version=settings.version,
        task="Segmentation of the right and the left lung on CT",
        data_source=run.data_source("Synthetic thorax phantoms of training/phantoms/thorax.py; no patient's image"),
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
    filled = card.format(
        version=settings.version,
        phantoms=settings.phantoms,
        cases=settings.validation_phantoms,
        score=f"{score} (n = {len(score.values)} lungs)",
    )
    return write_package(folder, network, bundle_metadata(facts), run.told(filled))
