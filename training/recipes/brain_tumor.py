"""Train the weights of the engine brain-tumor: `dicom-node train brain-tumor --output RUN`.

About 50 minutes of one processor core that multiplies bf16 (AMX, avx512_bf16), phantoms included. RUN/brain_tumor is then the
model package. Real cases (--data) have FLAIR as their first channel and may have the contrast T1 as their second; the labels
are called "tumour" and "enhancing tumour".
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from engine.api import Context, Refusal
from engine.catalog.brain_tumor import CONTRAST_T1, BrainTumor
from engine.models import Intensity, ModelPackage
from engine.volume import Volume
from training.bundle_metadata import ModelFacts, bundle_metadata
from training.cases import CaseStore
from training.evaluate import Score, dice, volume_of
from training.export import write_package
from training.fit import fit
from training.phantoms.head import ENHANCING, TRAINING_SPACING_MM, TUMOUR, HeadPhantom, head
from training.plan import Plan
from training.real_cases import RealForm, real_cases, with_real
from training.recipes._brain_tumor_samples import HeadSampler, make_case
from training.run import Run
from training.sampling import Pool
from training.transfer import starting_network

FIRST_VALIDATION = 100_000
USES = frozenset({"data", "fold", "from"})
CARD = Path(__file__).with_name("brain_tumor_card.md")
LABELS = ("outside", "brain", "tumour", "enhancing tumour")
REAL = RealForm(
    LABELS,
    TRAINING_SPACING_MM,
    "MR",
    0.0,
    dict.fromkeys(
        ("tumor", "whole tumor", "whole tumour", "non enhancing tumor", "non enhancing tumour", "edema", "oedema", "necrosis"),
        TUMOUR,
    )
    | {"enhancing tumor": ENHANCING},
)
DATA_SOURCE = (
    "Synthetic heads of training/phantoms/head.py, bent from the MNI ICBM 152 average brain (2009a, nonlinear, symmetric; "
    "copyright McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University); no patient's image"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values stand in conf/recipes/brain-tumor.toml.

    Attributes:
        phantoms: to train on.
        validation_phantoms: to measure.
        window: slices, rows, columns of a training window.
        synthetic_share: of the windows, where there are real cases too.
    """

    version: str
    phantoms: int
    validation_phantoms: int
    window: tuple[int, int, int]
    batch: int
    network: dict[str, Any]
    intensity: Intensity
    plan: Plan
    synthetic_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Scores:
    """Over the validation phantoms, whole engine.

    Attributes:
        whole: Dice of the whole tumour, which FLAIR alone decides; with it, how many phantoms were refused.
        enhancing: Dice of the enhancing part where there is one.
        false_alarms: share of phantoms without tumour in which one was found.
    """

    whole: Score
    enhancing: Score
    false_alarms: str


def train(settings: Settings, run: Run) -> nn.Module:
    network = starting_network(settings.network, settings.plan.seed, run.start_from)
    phantoms = Pool(CaseStore(run.cases, make_case).load, range(settings.phantoms))
    cases = with_real(phantoms, real_cases(run, REAL), settings.synthetic_share)
    sample = HeadSampler(cases, settings.window, settings.intensity, settings.batch)
    return fit(network, sample, settings.plan, run.checkpoint, watch=run.watch)


def export(network: nn.Module, settings: Settings, run: Run) -> ModelPackage:
    """The package with its card; the scores are those of the whole engine."""
    facts = ModelFacts(
        name="dicom-node brain tumour",
        version=settings.version,
        task="Segmentation of brain tumour on FLAIR, with or without T1 with contrast agent",
        data_source=run.data_source(DATA_SOURCE),
        modality="MR",
        network=settings.network,
        spacing_mm=TRAINING_SPACING_MM,
        intensity=settings.intensity,
        labels=LABELS,
        context_voxels=64,
        channels=("FLAIR", "T1 with contrast agent, or zeros"),
    )
    folder, card = run.folder / "brain_tumor", CARD.read_text(encoding="utf-8")
    write_package(folder, network, bundle_metadata(facts), card)
    seeds = range(FIRST_VALIDATION, FIRST_VALIDATION + settings.validation_phantoms)
    scores = measure(BrainTumor(Context(device="cpu", options={"package": str(folder)})), seeds)
    filled = card.format(version=settings.version, phantoms=settings.phantoms, cases=len(seeds), scores=scores)
    return write_package(folder, network, bundle_metadata(facts), run.told(filled))


def measure(engine: BrainTumor, seeds: range) -> Scores:
    """What the engine finds in phantoms it was not trained on."""
    whole, enhancing, alarms, refused = [], [], [], 0
    for seed in seeds:
        phantom = head(seed)
        series, contrast_t1 = (volume_of_head(phantom, image) for image in (phantom.flair, phantom.contrast_t1))
        try:
            segments = engine.analyse_with(series, {CONTRAST_T1: contrast_t1}).segments
        except Refusal:
            refused += 1
            continue
        masks = {segment.key: segment.mask for segment in segments}
        truth, nothing = phantom.labels >= TUMOUR, np.zeros(phantom.labels.shape, bool)
        if not truth.any():
            alarms.append("tumour" in masks)
            continue
        whole.append(dice(masks.get("tumour", nothing), truth))
        if (phantom.labels == ENHANCING).any():
            enhancing.append(dice(masks.get("enhancing", nothing), phantom.labels == ENHANCING))
    return Scores(Score(tuple(whole), refused), Score(tuple(enhancing)), f"{sum(alarms)} of {len(alarms)}")


def volume_of_head(phantom: HeadPhantom, image: np.ndarray) -> Volume:
    """One of a phantom's images as an axial MR series."""
    return replace(volume_of(image, phantom.spacing_mm), modality="MR")
