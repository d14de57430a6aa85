"""The smallest whole recipe: a bright ball among clutter, learnt in half a minute. Copy it to begin one of your own.

`dicom-node train example --output RUN` writes the model package RUN/example.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from engine.models import Intensity, ModelPackage
from training.augmentation import AugmentationChoice, make_augmentation
from training.bundle_metadata import ModelFacts, bundle_metadata
from training.cases import Case, CaseStore
from training.evaluate import dice
from training.export import write_package
from training.fit import fit
from training.held_out import HeldOut, measure_segmentation
from training.plan import Plan
from training.real_cases import RealForm, real_cases, with_real
from training.run import Run
from training.sampling import PatchBatches, PatchChoice, Pool
from training.transfer import starting_network

FIRST_VALIDATION = 100_000
OUTSIDE_HU = -1000.0
CONTEXT_VOXELS = 24
SPACING_MM = (3.0, 3.0, 3.0)
LABELS = ("background", "ball")
REAL = RealForm(LABELS, SPACING_MM, "CT", OUTSIDE_HU)
USES = frozenset({"data", "fold", "from", "validation"})
CARD = """# Example {version}

Finds a bright ball in noise; of no use but to show how a model comes to be.

## Measured
Mean Dice coefficient of the ball on {cases} held-out phantoms: {score:.3f}.
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """The values stand in conf/recipes/example.toml.

    Attributes:
        phantoms: to train on.
        validation_phantoms: to choose the best weights by, and to measure.
        size: voxels of a phantom along each axis.
        synthetic_share: of the patches, where there are real cases too.
    """

    version: str
    phantoms: int
    validation_phantoms: int
    size: int
    network: dict[str, Any]
    intensity: Intensity
    plan: Plan
    synthetic_share: float = 0.5
    patches: PatchChoice = field(default_factory=PatchChoice)
    augmentation: AugmentationChoice = field(default_factory=AugmentationChoice)


def make_case(number: int, size: int) -> Case:
    """A ball of 60 HU among blurred clutter of every brightness, in noise."""
    generator = np.random.default_rng(number)
    clutter = gaussian_filter(generator.normal(size=(size,) * 3), 3) * 1500
    image = clutter + generator.normal(0, 20, (size,) * 3)
    centre, radius = generator.uniform(size * 0.25, size * 0.75, 3), generator.uniform(size * 0.12, size * 0.25)
    distance = np.sqrt(sum((axis - place) ** 2 for axis, place in zip(np.indices((size,) * 3), centre, strict=True)))
    labels = (distance < radius).astype(np.uint8)
    return np.where(labels, 60 + image * 0.3, image - 100).astype(np.int16), labels


def train(settings: Settings, run: Run) -> nn.Module:
    network = starting_network(settings.network, settings.plan.seed, run.start_from)
    cases = CaseStore(run.cases, lambda number: make_case(number, settings.size))
    batches = PatchBatches(
        with_real(Pool(cases.load, range(settings.phantoms)), real_cases(run, REAL), settings.synthetic_share),
        settings.patches,
        settings.intensity,
        make_augmentation(settings.augmentation),
        OUTSIDE_HU,
    )
    looks = partial(score, settings=settings, numbers=_validation(settings))
    return fit(network, batches, settings.plan, run.checkpoint, validate=looks, watch=run.watch)


def _validation(settings: Settings) -> range:
    return range(FIRST_VALIDATION, FIRST_VALIDATION + settings.validation_phantoms)


def score(network: nn.Module, settings: Settings, numbers: range) -> float:
    """Mean Dice of the ball over the phantoms of these numbers."""
    found = []
    for number in numbers:
        image, labels = make_case(number, settings.size)
        logits = network(settings.intensity(torch.from_numpy(image).float())[None, None])
        found.append(dice((logits[0].argmax(0) == 1).numpy(), labels == 1))
    return float(np.mean(found))


def measure_held_out(network: nn.Module, settings: Settings, run: Run) -> HeldOut:
    """What it reaches on the real cases that the run's fold leaves out."""
    real = real_cases(run, REAL)
    return measure_segmentation(network, real, LABELS, settings.intensity, outside=OUTSIDE_HU, context_voxels=CONTEXT_VOXELS)


def export(network: nn.Module, settings: Settings, run: Run) -> ModelPackage:
    with torch.inference_mode():
        reached = score(network, settings, _validation(settings))
    facts = ModelFacts(
        name="dicom-node example",
        version=settings.version,
        task="Segmentation of a ball in a synthetic volume",
        data_source=run.data_source("Synthetic; no patient's image"),
        modality="CT",
        network=settings.network,
        spacing_mm=SPACING_MM,
        intensity=settings.intensity,
        labels=LABELS,
        context_voxels=CONTEXT_VOXELS,
    )
    card = CARD.format(version=settings.version, cases=settings.validation_phantoms, score=reached)
    return write_package(
        run.folder / "example", network, {**bundle_metadata(facts), "validation_dice": round(reached, 4)}, card
    )
