"""Train the weights of the engine liver-tumor: `dicom-node train liver-tumor --output RUN`.

Two networks, one after the other: the liver in the whole trunk at a coarse spacing, then lesions at a fine one, in HU relative
to the liver's own attenuation. RUN/liver_tumor is then the package of the first, with that of the second in its folder lesion.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from engine.api import Context
from engine.catalog.liver_tumor import LESION_FOLDER, LiverTumor
from engine.models import Intensity, ModelPackage, load_package, write_sums
from training.augmentation import AugmentationChoice, make_augmentation
from training.bundle_metadata import ModelFacts, bundle_metadata
from training.cases import CaseStore
from training.export import write_package
from training.fit import fit
from training.held_out import HeldOut, measure_segmentation
from training.plan import Plan
from training.real_cases import Beside, real_cases, with_real
from training.recipes._liver_tumor_samples import TrunkPatches, lesion_case, lesions_alone, liver_case, real_form, whole_liver
from training.recipes._liver_tumor_score import score_phantoms
from training.run import Run
from training.sampling import PatchBatches, PatchChoice, Pool
from training.transfer import starting_network

FIRST_VALIDATION = 100_000
OUTSIDE_HU = -1024.0
USES = frozenset({"data", "fold", "from"})
CARD = Path(__file__).with_name("liver_tumor_card.md")
DATA_SOURCE = "Synthetic abdomen phantoms of training/phantoms/abdomen.py; no patient's image"


@dataclass(frozen=True, slots=True)
class Part:
    """How one of the two networks is made.

    Attributes:
        phantoms: to train on.
        spacing_mm, shape: of a phantom, and of the network's grid.
        synthetic_share: of the patches of lesions, where there are real cases too.
    """

    phantoms: int
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    context_voxels: int
    network: dict[str, Any]
    intensity: Intensity
    plan: Plan
    synthetic_share: float = 0.5
    patches: PatchChoice = field(default_factory=PatchChoice)
    augmentation: AugmentationChoice = field(default_factory=AugmentationChoice)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values stand in conf/recipes/liver-tumor.toml.

    Attributes:
        validation_phantoms: on which the whole engine is measured; they decide nothing.
    """

    version: str
    validation_phantoms: int
    liver: Part
    lesion: Part


def train(settings: Settings, run: Run) -> nn.Module:
    """Both networks as one module with the children liver and lesion; each has its own cases and checkpoint."""
    return nn.ModuleDict({"liver": fit_liver(settings.liver, run), "lesion": fit_lesion(settings.lesion, run)})


def fit_liver(part: Part, run: Run) -> nn.Module:
    phantoms = CaseStore(run.cases / "liver", partial(liver_case, spacing_mm=part.spacing_mm, shape=part.shape))
    cases = Beside(phantoms.load, real_cases(run, real_form(part.spacing_mm, whole_liver), "real-liver"))
    numbers = cases.numbers(range(part.phantoms))
    patches = TrunkPatches(cases.load, numbers, part.patches.size, part.intensity, part.patches.batch)
    network = starting_network(part.network, part.plan.seed, run.start_from)
    return fit(network, patches, part.plan, run.folder / "liver.pt", watch=run.watch)


def fit_lesion(part: Part, run: Run) -> nn.Module:
    store = CaseStore(run.cases / "lesion", partial(lesion_case, spacing_mm=part.spacing_mm, shape=part.shape))
    real = real_cases(run, real_form(part.spacing_mm, lesions_alone), "real-lesion")
    cases = with_real(Pool(store.load, range(part.phantoms)), real, part.synthetic_share)
    patches = PatchBatches(cases, part.patches, part.intensity, make_augmentation(part.augmentation), OUTSIDE_HU)
    start_from = run.start_from / LESION_FOLDER if run.start_from else None
    network = starting_network(part.network, part.plan.seed, start_from)
    return fit(network, patches, part.plan, run.folder / "lesion.pt", watch=run.watch)


def measure_held_out(network: nn.Module, settings: Settings, run: Run) -> HeldOut:
    """What both networks reach, each on its own view of the real cases that the run's fold leaves out."""
    found = [
        measure_segmentation(
            network.get_submodule(name),
            real_cases(run, real_form(part.spacing_mm, prepare), f"real-{name}"),
            ("background", name),
            part.intensity,
            outside=OUTSIDE_HU,
            context_voxels=part.context_voxels,
        )
        for name, part, prepare in (("liver", settings.liver, whole_liver), ("lesion", settings.lesion, lesions_alone))
    ]
    return HeldOut(found[0].dice | found[1].dice, found[0].cases | found[1].cases)


def export(network: nn.Module, settings: Settings, run: Run) -> ModelPackage:
    """The package with its card; the score on the validation phantoms is that of the whole engine."""
    folder = run.folder / "liver_tumor"
    card = CARD.read_text(encoding="utf-8")
    _write(folder, network, settings, card)
    engine = LiverTumor(Context(device="cpu", options={"package": str(folder)}))
    score = score_phantoms(engine, range(FIRST_VALIDATION, FIRST_VALIDATION + settings.validation_phantoms))
    filled = card.format(version=settings.version, settings=settings, score=score)
    return _write(folder, network, settings, run.told(filled), run.data_source(DATA_SOURCE))


def _write(folder: Path, networks: nn.Module, settings: Settings, card: str, source: str = DATA_SOURCE) -> ModelPackage:
    liver = _facts("liver", "Segmentation of the liver on CT", settings.liver, settings.version, source)
    lesion = _facts("liver lesion", "Segmentation of focal liver lesions on CT", settings.lesion, settings.version, source)
    write_package(folder, networks.get_submodule("liver"), bundle_metadata(liver), card)
    write_package(folder / LESION_FOLDER, networks.get_submodule("lesion"), bundle_metadata(lesion), card)
    write_sums(folder)
    return load_package(folder)


def _facts(structure: str, task: str, part: Part, version: str, source: str) -> ModelFacts:
    return ModelFacts(
        name=f"dicom-node {structure}",
        version=version,
        task=task,
        data_source=source,
        modality="CT",
        network=part.network,
        spacing_mm=part.spacing_mm,
        intensity=part.intensity,
        labels=("background", structure),
        context_voxels=part.context_voxels,
    )
