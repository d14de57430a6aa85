"""From measurements to categories and probabilities, by published relations.

Sources:
    Lung-RADS v2022, American College of Radiology.
    McWilliams et al., Probability of Cancer in Pulmonary Nodules Detected on First Screening CT, NEJM 2013;369:910 (the full
    model with spiculation, "Brock" or "PanCan").
    Armato et al., The Lung Image Database Consortium (LIDC-IDRI), Med Phys 2011;38:915; its table of diameters and ratings
    (CC BY 3.0): 1,177 nodules of 597 patients.
"""

import math
from dataclasses import dataclass

from engine.volume import PatientFacts

SPICULATION_LOG_ODDS = 0.7729
PART_SOLID_LOG_ODDS = 0.377
NONSOLID_LOG_ODDS = -0.1276
"""McWilliams et al. 2013, table 2, full model with spiculation."""
BENIGN_PATTERN_LOG_ODDS = -4.0
"""Of calcification or fat in a pattern that Lung-RADS v2022 takes for benign (category 1)."""
LARGEST_BENIGN_MM = 30.0


@dataclass(frozen=True, slots=True)
class SizeModel:
    """Log-odds of a rating of 4 or 5 against 1 or 2 over the natural logarithm of the diameter in mm."""

    slope: float
    intercept: float


PUBLISHED = SizeModel(slope=4.5, intercept=-9.4)
"""Halfway between what fits a single reader of LIDC-IDRI (3.15, -6.64; 2,748 readings of 1,177 nodules) and what fits the mean
of all its readers (5.84, -12.09; the 673 nodules with a mean rating of 2.5 or less, or 3.5 or more)."""


@dataclass(frozen=True, slots=True)
class Spiculation:
    """A logistic model of spiculation over roughness (1 - sphericity), fitted on phantoms of known spiculation."""

    intercept: float
    roughness: float

    def probability(self, sphericity: float) -> float:
        return sigmoid(self.intercept + self.roughness * (1 - sphericity))


def sigmoid(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def malignancy(diameter_mm: float, attenuation: str, spiculation: float, size: SizeModel = PUBLISHED) -> float:
    """Probability that readers of the kind of LIDC's call a nodule malignant: size first, then spiculation and attenuation."""
    log_odds = size.intercept + size.slope * math.log(max(diameter_mm, 1.0))
    log_odds += SPICULATION_LOG_ODDS * spiculation
    log_odds += {"part-solid": PART_SOLID_LOG_ODDS, "ground-glass": NONSOLID_LOG_ODDS}.get(attenuation, 0.0)
    if attenuation in ("calcified", "fat") and diameter_mm < LARGEST_BENIGN_MM:
        log_odds += BENIGN_PATTERN_LOG_ODDS
    return sigmoid(log_odds)


def brock(
    patient: PatientFacts, long_axis_mm: float, attenuation: str, *, upper: bool, nodules: int, spiculated: bool
) -> float | None:
    """Probability of cancer within two to four years of screening; None where age or sex is not known.

    No family history and no emphysema are assumed.
    """
    if patient.age_years is None or not patient.sex:
        return None
    log_odds = -6.7892 + 0.0287 * (patient.age_years - 62) + 0.6011 * (patient.sex == "F")
    log_odds += -5.3854 * ((long_axis_mm / 10) ** -0.5 - 1.58113883)
    log_odds += {"part-solid": PART_SOLID_LOG_ODDS, "ground-glass": NONSOLID_LOG_ODDS}.get(attenuation, 0.0)
    log_odds += 0.6581 * upper - 0.0824 * (nodules - 4) + SPICULATION_LOG_ODDS * spiculated
    return sigmoid(log_odds)


def lung_rads(mean_mm: float, solid_mm: float, attenuation: str) -> str:
    """Category of a nodule at a first screening, as Lung-RADS v2022 has it: 1, 2, 3, 4A or 4B.

    4X is not given: spicules are not told well enough. Calcium counts as solid: its pattern is not judged.

    Args:
        mean_mm: mean of long and short axis.
        solid_mm: mean diameter of the solid part.
        attenuation: as in Features.
    """
    size = round(mean_mm, 1)
    if attenuation == "fat" and size < LARGEST_BENIGN_MM:
        return "1"
    if attenuation == "ground-glass":
        return "2" if size < 30 else "3"
    if attenuation == "part-solid":
        return "2" if size < 6 else _by_size(round(solid_mm, 1), (6, 8), ("3", "4A", "4B"))
    return _by_size(size, (6, 8, 15), ("2", "3", "4A", "4B"))


def _by_size(size_mm: float, limits: tuple[int, ...], names: tuple[str, ...]) -> str:
    return names[sum(size_mm >= limit for limit in limits)]
