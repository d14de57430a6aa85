"""Labelled cases to evaluate on. Keys and patients are pseudonyms: they stand in reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import center_of_mass, generate_binary_structure, label

from engine.volume import Volume
from training.metrics.detection import Lesion, Point
from training.metrics.subgroups import band

Mask = Bool[np.ndarray, "slices rows columns"]
SLICE_THICKNESS_LIMITS_MM = (1.5, 3.0, 5.0)
AGE_LIMITS_YEARS = (18.0, 45.0, 65.0)


@dataclass(frozen=True)
class LabelledVolume:
    """One examination with its truth.

    Attributes:
        key: of the case within this evaluation.
        patient: cases of one patient share it.
        truth: mask of each structure, named as the engine names its segments ("right-lung"; "nodule" for "nodule-1",
            "nodule-2" ...). What is not named is not scored; an empty mask says that the structure is not there.
        lesions: structure -> true lesions in LPS mm, for detection; where absent, none is scored as such.
        companions: other series of the study by the engine's role.
        attributes: for subgroup tables ("maker" -> "GE").
    """

    key: str
    patient: str
    volume: Volume
    truth: Mapping[str, Mask]
    lesions: Mapping[str, tuple[Lesion, ...]] = field(default_factory=dict)
    companions: Mapping[str, Volume] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredCase:
    """One case of a two-class problem with the probability that each model gave it.

    Attributes:
        positive: the truth.
        scores: model ("feature model", "network") -> probability of the positive class.
    """

    key: str
    patient: str
    positive: bool
    scores: Mapping[str, float]
    attributes: Mapping[str, str] = field(default_factory=dict)


def attributes_of(
    volume: Volume, *, maker: str = "", sex: str = "", age_years: float | None = None, scanner: str = ""
) -> dict[str, str]:
    """What the header says, in the bands of the subgroup tables; empty values mean that it says nothing."""
    return {
        "maker": maker,
        "scanner": scanner,
        "slice thickness": band(volume.slice_thickness_mm or volume.spacing_mm[0], SLICE_THICKNESS_LIMITS_MM, "mm"),
        "sex": sex,
        "age": band(age_years, AGE_LIMITS_YEARS, "years"),
    }


def lesions_of(mask: Mask, affine: Float64[np.ndarray, "4 4"]) -> tuple[Lesion, ...]:
    """Each connected part (faces, edges, corners) as a lesion: centre of mass, and diameter of the ball of equal volume."""
    parts, number = label(mask, structure=generate_binary_structure(3, 3))
    if not number:
        return ()
    counts = np.bincount(parts.ravel())[1:]
    voxel_mm3 = abs(float(np.linalg.det(affine[:3, :3])))
    centres = center_of_mass(mask, parts, range(1, number + 1))
    diameters_mm = (6 * counts * voxel_mm3 / np.pi) ** (1 / 3)
    return tuple(
        Lesion(to_mm(centre, affine), float(diameter_mm)) for centre, diameter_mm in zip(centres, diameters_mm, strict=True)
    )


def to_mm(index: tuple[float, ...], affine: Float64[np.ndarray, "4 4"]) -> Point:
    """LPS millimetres of a (slice, row, column) index."""
    x, y, z = (affine @ np.array([*index, 1.0]))[:3]
    return float(x), float(y), float(z)
