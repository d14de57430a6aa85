"""A nodule in the words and codes of a report."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from engine.catalog._diameters import Axes, axes_of
from engine.catalog._nodule_reading import Reading, source_mask
from engine.catalog._nodule_risk import SizeModel, Spiculation, brock, lung_rads, malignancy
from engine.findings import Code, Evaluation, Measurement, Segment
from engine.volume import PatientFacts, Volume

SCHEME = "99DICOMNODE"
CATEGORY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NODULE = Code("27925004", "SCT", "Nodule")
_MASS = Code("4147007", "SCT", "Mass")
_LUNG = Code("39607008", "SCT", "Lung")
_LONG_AXIS = Code("103339001", "SCT", "Long Axis")
_SHORT_AXIS = Code("103340004", "SCT", "Short Axis")
_ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
_CREDIBILITY = Code("CREDIBILITY", SCHEME, "Credibility of being a nodule, not calibrated, 0 to 1")
_MEAN = Code("373098007", "SCT", "Mean")
_CANCER = Code("111047", "DCM", "Probability of cancer")
_SUSPICION = Code("SUSPICION", SCHEME, "Probability that readers rate the nodule suspicious")
_FEATURE_MODEL = Code("FEATURE-MODEL", SCHEME, "Logistic model of size, attenuation and spiculation")
_NETWORK = Code("NETWORK", SCHEME, "Three-dimensional residual network")
_BROCK = Code("BROCK-2B", SCHEME, "Brock model, full, with spiculation")
_DENSITY = Code("112027", "DCM", "Opacity Descriptor")
_LUNG_RADS = Code("LUNG-RADS-2022", SCHEME, "Lung-RADS v2022 category of the nodule")
_BROCK_INPUTS = Code("BROCK-INPUTS", SCHEME, "Inputs of the Brock model")
_NO_UNITS = Code("1", "UCUM", "no units")
_MILLIMETRE = Code("mm", "UCUM", "millimeter")
_HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
_PERCENT = Code("%", "UCUM", "percent")
_DENSITIES: dict[str, Code | str] = {
    "solid": "solid",
    "part-solid": "part-solid",
    "ground-glass": Code("112120", "DCM", "Ground glass opacity"),
    "calcified": Code("237897009", "SCT", "Calcified"),
    "fat": Code("256674009", "SCT", "Fat"),
}
BROCK_NODULES = 1
"""What is marked may be no nodule: more of them would lower the risk of each."""
MASS_MM = 30.0
_COLOURS = ((230, 60, 60), (240, 160, 40), (60, 180, 90), (70, 130, 230), (180, 90, 220), (40, 190, 200))


@dataclass(frozen=True)
class Nodule:
    """A nodule that is reported.

    Attributes:
        mask: on the source grid.
        upper: whether it lies in the upper half of its lung's height.
        feature_probability: of malignancy, by the feature model.
    """

    reading: Reading
    mask: Bool[np.ndarray, "slices rows columns"]
    axes: Axes
    laterality: Code
    upper: bool
    feature_probability: float


@dataclass(frozen=True, slots=True)
class FeatureModel:
    """What was fitted beside the networks."""

    size: SizeModel
    spiculation: Spiculation


def nodule_of(volume: Volume, reading: Reading, laterality: Code, model: FeatureModel, *, upper: bool) -> Nodule | None:
    """The reading on the source grid; None where no voxel of it is left."""
    mask = source_mask(volume, reading)
    if not mask.any():
        return None
    features = reading.features
    spiculation = model.spiculation.probability(features.sphericity)
    probability = malignancy(features.diameter_mm, features.attenuation, spiculation, model.size)
    return Nodule(reading, mask, axes_of(volume, mask), laterality, upper, probability)


def segment_of(volume: Volume, nodule: Nodule, number: int, patient: PatientFacts) -> Segment:
    """The nodule with all that is measured and judged of it.

    Args:
        volume: the series.
        nodule: to report.
        number: from 1, by volume.
        patient: age and sex where known.
    """
    features = nodule.reading.features
    risk = (
        None
        if nodule.axes.long_mm > MASS_MM
        else brock(
            patient,
            nodule.axes.long_mm,
            features.attenuation,
            upper=nodule.upper,
            nodules=BROCK_NODULES,
            spiculated=False,
        )
    )
    return Segment(
        key=f"nodule-{number}",
        label=f"Nodule {number}",
        mask=nodule.mask,
        category=CATEGORY,
        property_type=_MASS if nodule.axes.long_mm > MASS_MM else NODULE,
        laterality=nodule.laterality,
        anatomic_region=_LUNG,
        colour_rgb=_COLOURS[(number - 1) % len(_COLOURS)],
        measurements=_measurements(volume, nodule, risk),
        evaluations=_evaluations(nodule, patient),
    )


def _measurements(volume: Volume, nodule: Nodule, risk: float | None) -> tuple[Measurement, ...]:
    mean_hu = float(volume.voxels[nodule.mask].mean(dtype=np.float64))
    found = [
        Measurement(_CREDIBILITY, nodule.reading.credibility, _NO_UNITS),
        Measurement(_LONG_AXIS, nodule.axes.long_mm, _MILLIMETRE),
        Measurement(_SHORT_AXIS, nodule.axes.short_mm, _MILLIMETRE),
        Measurement(_ATTENUATION, mean_hu, _HOUNSFIELD, _MEAN),
        Measurement(_SUSPICION, 100 * nodule.feature_probability, _PERCENT, _FEATURE_MODEL),
        Measurement(_SUSPICION, 100 * nodule.reading.malignant, _PERCENT, _NETWORK),
    ]
    if risk is not None:
        found.append(Measurement(_CANCER, 100 * risk, _PERCENT, _BROCK))
    return tuple(found)


def _evaluations(nodule: Nodule, patient: PatientFacts) -> tuple[Evaluation, ...]:
    features = nodule.reading.features
    ratio = min(1.0, features.solid_diameter_mm / max(features.diameter_mm, 1e-6))
    category = lung_rads(nodule.axes.mean_mm, nodule.axes.mean_mm * ratio, features.attenuation)
    return (
        Evaluation(_DENSITY, _DENSITIES[features.attenuation]),
        Evaluation(_LUNG_RADS, Code(f"LUNG-RADS-{category}", SCHEME, f"Lung-RADS {category}")),
        Evaluation(_BROCK_INPUTS, _brock_inputs(nodule, patient)),
    )


def _brock_inputs(nodule: Nodule, patient: PatientFacts) -> str:
    missing = [name for name, known in (("age", patient.age_years is not None), ("sex", bool(patient.sex))) if not known]
    place = "upper" if nodule.upper else "lower"
    words = f"{place} half of the lung (for the lobe); the only nodule; no spiculation, family history and emphysema assumed"
    if nodule.axes.long_mm > MASS_MM:
        return f"Not computed: above {MASS_MM:.0f} mm it is a mass."
    if missing:
        return f"Not computed: {' and '.join(missing)} not in the header. Known: {words}."
    return f"Age and sex from the header, {words}."


def by_volume(nodules: Sequence[Nodule]) -> list[Nodule]:
    """Largest first."""
    return sorted(nodules, key=lambda nodule: -nodule.reading.features.diameter_mm)
