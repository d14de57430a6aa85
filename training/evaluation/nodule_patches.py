"""The judgement of nodule-malignancy on patches around known nodules: without the search for them in a whole chest."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int16

from engine.catalog._nodule_candidates import Candidate
from engine.catalog._nodule_reading import COARSE_FROM_MM, Networks, read_candidate
from engine.catalog._nodule_report import Nodule, nodule_of
from engine.catalog._nodule_risk import Spiculation
from engine.catalog.nodule_malignancy import CLASSIFIER, DEFAULT_PACKAGE, DETECTOR
from engine.findings import Code
from engine.models import ModelPackage, load_package
from engine.sliding_window import choose_device
from engine.volume import Volume
from training.evaluate import volume_of
from training.evaluation.cases import ScoredCase
from training.metrics.overlap import dice

FEATURE_MODEL, NETWORK = "feature model", "network"
FIRST_GUESS_MM = 10.0


@dataclass(frozen=True)
class LabelledPatch:
    """A nodule in the middle of a cube of CT.

    Attributes:
        hu: index order (slice, row, column), slices to the head, rows posterior, columns to the left.
        mask: the nodule as a reader drew it; None where nobody did.
    """

    key: str
    patient: str
    hu: Int16[np.ndarray, "slices rows columns"]
    spacing_mm: tuple[float, float, float]
    malignant: bool
    mask: Bool[np.ndarray, "slices rows columns"] | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PatchResult:
    """What the models said of a patch.

    Attributes:
        case: with the probability of each model; 0 where no nodule was drawn.
        drawn: whether one was.
        dice: of the drawn nodule with the reader's mask; nan without a mask.
    """

    case: ScoredCase
    drawn: bool
    dice: float


@dataclass(frozen=True)
class Judge:
    """Both models, loaded."""

    networks: Networks
    spiculation: Spiculation

    def look(self, volume: Volume) -> Nodule | None:
        """The nodule in the middle of a volume; None where none is drawn."""
        nodule = self._look(volume, FIRST_GUESS_MM)
        if nodule is not None and nodule.reading.features.diameter_mm > COARSE_FROM_MM:
            return self._look(volume, nodule.reading.features.diameter_mm) or nodule
        return nodule

    def _look(self, volume: Volume, diameter_mm: float) -> Nodule | None:
        centre_mm = (volume.affine @ np.array([*((np.array(volume.voxels.shape) - 1) / 2), 1.0]))[:3]
        reading = read_candidate(self.networks, volume, Candidate(centre_mm, diameter_mm, 1.0))
        return None if reading is None else nodule_of(volume, reading, _SIDE, self.spiculation, upper=True)


def load_judge(package: Path | None = None, device: str = "cpu") -> Judge:
    """The models of a package with detector and classifier; of the shipped one if None.

    Raises:
        engine.models.ModelPackageError: the package is damaged.
    """
    folder = package or DEFAULT_PACKAGE
    detector, classifier = load_package(folder / DETECTOR), load_package(folder / CLASSIFIER)
    chosen = choose_device(device)
    networks = Networks(
        detector=detector.network(chosen),
        detecting=detector.metadata,
        classifier=classifier.network(chosen),
        classifying=classifier.metadata,
        device=chosen,
    )
    return Judge(networks, _spiculation(classifier))


def read_patches(judge: Judge, patches: Iterable[LabelledPatch]) -> Iterator[PatchResult]:
    """Each patch judged as the engine judges a candidate in its middle."""
    for patch in patches:
        nodule = judge.look(volume_of(patch.hu, patch.spacing_mm))
        scores = {
            FEATURE_MODEL: nodule.feature_probability if nodule else 0.0,
            NETWORK: nodule.reading.malignant if nodule else 0.0,
        }
        case = ScoredCase(patch.key, patch.patient, patch.malignant, scores, patch.attributes)
        overlap = math.nan
        if patch.mask is not None:
            overlap = dice(nodule.mask, patch.mask) if nodule else 0.0
        yield PatchResult(case, nodule is not None, overlap)


def _spiculation(package: ModelPackage) -> Spiculation:
    fitted = (package.metadata.model_extra or {})["fitted"]
    return Spiculation(float(fitted["spiculation_intercept"]), float(fitted["spiculation_roughness"]))


_SIDE = Code("24028007", "SCT", "Right")
"""A patch does not say its side, and no probability asks for it."""
