"""Train the example of the engine image-classifier: large opacities on synthetic chest radiographs.

`dicom-node train image-classifier --output RUN` writes the model package RUN/image_classifier. Every package of the engine can
come from a recipe like this one: other images, labels and network, and `encoder` for transfer learning.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from engine.explain import grad_cam
from engine.models import ImageIntensity, ImagePackage
from training.export import write_image_package
from training.fit import fit
from training.plan import Plan
from training.recipes._image_classifier_samples import Batches, Radiographs, load_radiographs
from training.run import Run
from training.transfer import load_encoder, starting_network

FIRST_VALIDATION = 10_000
EXPLAINED_LAYER = "layer4"
USES = frozenset({"from", "validation"})
CARD = Path(__file__).with_name("image_classifier_card.md")
LABELS = (
    {"name": "no large opacity", "code": ["125112009", "SCT", "Within normal limits"], "normal": True},
    {"name": "large opacity", "code": ["112001", "DCM", "Opacity"]},
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values stand in conf/recipes/image-classifier.toml.

    Attributes:
        patients: synthetic ones to train on, four radiographs each.
        validation_patients: others, to choose the best weights by, and as many again to measure.
        image_size: rows, columns of the network's input.
        encoder: file with a pretrained encoder's state dict; empty for random weights.
    """

    version: str
    patients: int
    validation_patients: int
    batch: int
    image_size: tuple[int, int]
    encoder: str
    network: dict[str, Any]
    intensity: ImageIntensity
    plan: Plan


def train(settings: Settings, run: Run) -> nn.Module:
    network = starting_network(settings.network, settings.plan.seed, run.start_from)
    if settings.encoder:
        load_encoder(network, Path(settings.encoder))
    batches = Batches(_radiographs(settings, run, 0, settings.patients), settings.batch)
    watched = _radiographs(settings, run, FIRST_VALIDATION, settings.validation_patients)
    return fit(network, batches, settings.plan, run.checkpoint, validate=lambda net: _area(net, watched), watch=run.watch)


def _radiographs(settings: Settings, run: Run, first: int, patients: int) -> Radiographs:
    return load_radiographs(run.cases, range(first, first + patients), settings.image_size, settings.intensity)


def _opacity_probability(network: nn.Module, cases: Radiographs) -> np.ndarray:
    with torch.inference_mode():
        return network(cases.images).softmax(1)[:, 1].numpy()  # type: ignore[no-any-return]


def _area(network: nn.Module, cases: Radiographs) -> float:
    """Area under the receiver operating characteristic."""
    return float(roc_auc_score(cases.labels.numpy(), _opacity_probability(network, cases)))


def _heat_hits(network: nn.Module, cases: Radiographs) -> float:
    """Share of the opacities on which the hottest pixel of Grad-CAM lies."""
    hits = []
    for number in np.flatnonzero(cases.labels.numpy()):
        heat = grad_cam(network, EXPLAINED_LAYER, cases.images[number], 1)
        hits.append(bool(cases.opacities[number].numpy()[np.unravel_index(heat.argmax(), heat.shape)]))
    return float(np.mean(hits))


def export(network: nn.Module, settings: Settings, run: Run) -> ImagePackage:
    """The package, measured on patients that neither training nor the choice of weights has seen."""
    held_out = _radiographs(settings, run, 2 * FIRST_VALIDATION, settings.validation_patients)
    probability = _opacity_probability(network, held_out)
    truth = held_out.labels.numpy() == 1
    card = CARD.read_text(encoding="utf-8").format(
        version=settings.version,
        patients=settings.patients,
        rows=settings.image_size[0],
        columns=settings.image_size[1],
        cases=len(truth),
        held_out=settings.validation_patients,
        area=roc_auc_score(truth, probability),
        sensitivity=float((probability[truth] > 0.5).mean()),
        specificity=float((probability[~truth] <= 0.5).mean()),
        hits=_heat_hits(network, held_out),
        opacities=int(truth.sum()),
        encoder="random weights" if not settings.encoder else "a pretrained encoder",
    )
    metadata = _metadata(settings)
    metadata["data_source"] = run.data_source(metadata["data_source"])
    return write_image_package(run.folder / "image_classifier", network, metadata, run.told(card))


def _metadata(settings: Settings) -> dict[str, Any]:
    return {
        "name": "dicom-node large opacity (example)",
        "version": settings.version,
        "task": "Large opacities on PA radiographs of the chest",
        "authors": "dicom-node",
        "copyright": "Apache-2.0",
        "intended_use": "Example; not for clinical use",
        "data_source": "Synthetic radiographs of training/phantoms/projection.py; no patient's image",
        "network_def": settings.network,
        "modalities": ["CR", "DX"],
        "view_positions": ["PA"],
        "image_size": list(settings.image_size),
        "intensity": settings.intensity.model_dump(mode="json"),
        "labels": list(LABELS),
        "activation": "softmax",
        "explained_layer": EXPLAINED_LAYER,
    }
