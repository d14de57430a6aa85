"""The judgement of nodule-malignancy on patches around known nodules: without the search for them in a whole chest."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import center_of_mass

from engine.api import Context
from engine.catalog._nodule_candidates import Candidate
from engine.catalog._nodule_reading import COARSE_FROM_MM, Networks, read_candidate
from engine.catalog._nodule_report import FeatureModel, Nodule, nodule_of
from engine.catalog.nodule_malignancy import DEFAULT_PACKAGE, feature_model
from engine.findings import Code
from engine.volume import Volume
from training.evaluation.cases import ScoredCase, to_mm
from training.metrics.detection import Point
from training.metrics.overlap import dice
from training.readers.labelled_case import LabelledCase, as_volume, in_hu

FEATURE_MODEL, NETWORK, MEAN = MODELS = ("feature model", "network", "mean of both")
FIRST_GUESS_MM = 10.0
LARGEST_PATCH = 128
"""More columns than that are a whole examination."""
UNCERTAIN, LEAST_DECISION = 3.0, 0.5


@dataclass(frozen=True)
class LabelledPatch:
    """A nodule of known kind in a CT, or in a cube cut out of one.

    Attributes:
        centre_mm: LPS, in the frame of the volume.
        mask: the nodule as readers drew it, on the volume's grid; None where nobody did.
    """

    key: str
    patient: str
    volume: Volume
    centre_mm: Point
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
    model: FeatureModel

    def look(self, volume: Volume, centre_mm: Point) -> Nodule | None:
        """The nodule at a place; None where none is drawn."""
        nodule = self._look(volume, centre_mm, FIRST_GUESS_MM)
        if nodule is not None and nodule.reading.features.diameter_mm > COARSE_FROM_MM:
            return self._look(volume, centre_mm, nodule.reading.features.diameter_mm) or nodule
        return nodule

    def _look(self, volume: Volume, centre_mm: Point, diameter_mm: float) -> Nodule | None:
        reading = read_candidate(self.networks, volume, Candidate(np.array(centre_mm), diameter_mm))
        return None if reading is None else nodule_of(volume, reading, _SIDE, self.model, upper=True)


def load_judge(package: Path | None = None, device: str = "cpu") -> Judge:
    """The models of a package with detector and classifier; of the shipped one if None.

    Raises:
        engine.models.ModelPackageError: the package is damaged.
    """
    folder = package or DEFAULT_PACKAGE
    networks = Networks.open(folder, Context(device=device))
    return Judge(networks, feature_model(networks.classifier_package))


def judge_patches(judge: Judge, patches: Iterable[LabelledPatch]) -> Iterator[PatchResult]:
    """Each patch judged as the engine judges a candidate at its place."""
    for patch in patches:
        nodule = judge.look(patch.volume, patch.centre_mm)
        own = (nodule.feature_probability, nodule.reading.malignant) if nodule else (0.0, 0.0)
        scores = {FEATURE_MODEL: own[0], NETWORK: own[1], MEAN: (own[0] + own[1]) / 2}
        case = ScoredCase(patch.key, patch.patient, patch.malignant, scores, patch.attributes)
        overlap = math.nan
        if patch.mask is not None:
            overlap = dice(nodule.mask, patch.mask) if nodule else 0.0
        yield PatchResult(case, nodule is not None, overlap)


def patches_of(cases: Iterable[LabelledCase], window: tuple[float, float] | None) -> Iterator[LabelledPatch]:
    """The rated findings of cases: of patches the one in the middle, of examinations every one that is outlined.

    A mean malignancy (LIDC) from 3.5 on is positive, up to 2.5 negative; what lies between is left out. Of the two classes of
    PNG folders the second in the alphabet is positive.

    Args:
        cases: with the rating "malignancy" or "class".
        window: the values that 0 and 255 stand for in images of eight bits.

    Raises:
        LabelError: the images have eight bits and no window is given.
    """
    for case in cases:
        volume = in_hu(case, window).volume()
        labels = as_volume(case.labels, case.affine, case.modality, case.name).voxels
        for lesion in case.lesions:
            malignant = _is_malignant(lesion.ratings)
            mask = labels == lesion.label if lesion.label else np.zeros(labels.shape, bool)
            if malignant is None or (lesion.label and not mask.any()):
                continue
            whole = len(case.lesions) > 1 or case.image.shape[-1] > LARGEST_PATCH
            index = center_of_mass(mask) if whole else tuple((np.array(labels.shape) - 1) / 2)
            attributes = {"texture": _texture(lesion.ratings.get("texture"))}
            yield LabelledPatch(
                key=f"{case.name} {lesion.name}" if lesion.name != case.name else case.name,
                patient=case.patient,
                volume=volume,
                centre_mm=to_mm(tuple(index), volume.affine),
                malignant=malignant,
                mask=mask if lesion.label else None,
                attributes={name: value for name, value in attributes.items() if value},
            )


def _is_malignant(ratings: Mapping[str, float]) -> bool | None:
    """None where the ratings do not say, or readers were uncertain."""
    if "class" in ratings:
        return ratings["class"] == 1
    rating = ratings.get("malignancy", UNCERTAIN)
    return None if abs(rating - UNCERTAIN) < LEAST_DECISION else rating > UNCERTAIN


def _texture(rating: float | None) -> str:
    """Source: LIDC's rating of texture, 1 (non-solid) to 5 (solid)."""
    if rating is None:
        return ""
    return "solid" if rating > 3.5 else "part-solid" if rating > 2.5 else "non-solid"


_SIDE = Code("24028007", "SCT", "Right")
"""A patch does not say its side, and no probability asks for it."""
