"""Lung nodules on CT: found, drawn, measured, and judged for malignancy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Bool
from pydantic import BaseModel, ConfigDict

from engine.api import Context, EngineInfo, Refusal
from engine.catalog._nodule_candidates import find_candidates
from engine.catalog._nodule_patches import field_on_source
from engine.catalog._nodule_reading import Networks, Reading, explain, read_candidate
from engine.catalog._nodule_report import CATEGORY, NODULE, FeatureModel, Nodule, by_volume, nodule_of, segment_of
from engine.catalog._nodule_risk import SizeModel, Spiculation
from engine.catalog.lung_segmentation import LungSegmentation, require_chest_ct
from engine.clock import Clock
from engine.findings import Algorithm, Code, Explanation, Findings, Outcome, Segment
from engine.geometry.words import count
from engine.models import ModelPackage, joint_digest
from engine.volume import PatientFacts, Volume

DEFAULT_PACKAGE = Path(__file__).parent.parent / "packages" / "nodule_malignancy"
THICKEST_MM = 4.0
GOOD_STEP_MM = 3.0
COARSEST_PIXEL_MM = 1.5
LEAST_COVERAGE_MM = 100.0
NODULE_LEVEL = 0.35
"""Credibility from which a candidate is reported."""
SMALLEST_REPORTED_MM = 4.0
MOST_REPORTED = 5
_PREVIEW = (
    "Preview, for research only: most of what is marked may be vessels, and nodules may be missed. The Lung-RADS category "
    "assumes a first screening CT; 4X is not given, and the pattern of calcium is not judged."
)
_CALIBRATION = (
    "The suspicion of the feature model and the network is calibrated to ratings of readers (LIDC-IDRI, about half of the "
    "rated nodules suspicious); in screening the risk is lower: see the Brock model."
)


class _Fitted(BaseModel):
    """What the recipe fitted beside the networks, kept in the classifier's metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size_slope: float
    size_intercept: float
    spiculation_intercept: float
    spiculation_roughness: float


@dataclass(frozen=True)
class _Seen:
    """What is held for a nodule, and the lung it lies in."""

    lung: Segment
    reading: Reading


class NoduleMalignancy:
    """Finds nodules within the lungs and says of each how large, how dense and how suspicious it is."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="nodule-malignancy",
        title="lung nodules",
        content_label="LUNG_NODULES",
        modalities=("CT",),
        finding_category=CATEGORY,
        finding_type=NODULE,
        procedure_reported=Code("25045-6", "LN", "CT unspecified body region"),
    )

    def __init__(self, context: Context) -> None:
        """Load the weights of both networks and of the lungs' engine.

        Options: `package`, a directory with the packages `detector` and `classifier`; `lung_package`, that of the lungs.

        Raises:
            engine.models.ModelPackageError: a package is damaged or changed.
        """
        self._context = context
        folder = Path(context.options.get("package", DEFAULT_PACKAGE))
        self._networks = Networks.open(folder, context)
        self._model = feature_model(self._networks.classifier_package)
        lungs = {"package": context.options["lung_package"]} if "lung_package" in context.options else {}
        self._lungs = LungSegmentation(replace(context, options=lungs, progress=lambda step, share: None))

    def algorithm(self) -> Algorithm:
        """The digest is that of the digests of detector, classifier and lungs, one after the other."""
        metadata, lungs = self._networks.classifying, self._lungs.algorithm()
        digests = [self._networks.detector.package.weights_digest, self._networks.classifier_package.weights_digest]
        return Algorithm(
            name="dicom-node lung nodules",
            version=metadata.version,
            manufacturer=metadata.authors,
            weights_digest=joint_digest([*digests, lungs.weights_digest]),
            device=self._networks.detector.ran_on,
            parameters=f"reported from credibility {NODULE_LEVEL} and {SMALLEST_REPORTED_MM:.0f} mm",
        )

    def analyse(self, volume: Volume) -> Findings:
        """The nodules on the volume's own grid, largest first.

        Raises:
            Refusal: not a CT of the chest, slices too thick or too few, pixels too large, no lungs.
        """
        require_fine_chest_ct(volume)
        clock = Clock(self._context.progress)
        found = self._lungs.analyse(volume)
        clock.lap("lungs", 0.2)
        if found.outcome is not Outcome.FINDINGS:
            raise Refusal(f"{found.reason} Nodules are looked for in lungs only.")
        seen = _distinct([each for lung in found.segments for each in self._read(volume, lung, clock)])
        likeliest = sorted(seen, key=lambda each: -each.reading.credibility)[:MOST_REPORTED]
        nodules = by_volume([nodule for each in likeliest if (nodule := self._nodule(volume, each))])
        remarks = (*found.remarks, *_remarks(volume, len(seen)))
        findings = self._findings(volume, nodules, remarks, clock)
        self._context.progress("done", 1.0)
        return findings

    def _read(self, volume: Volume, lung: Segment, clock: Clock) -> list[_Seen]:
        """The candidates of one lung that are nodules."""
        candidates = find_candidates(self._networks.detector, volume, lung.mask)
        clock.lap("candidates", 0.6)
        readings = [read_candidate(self._networks, volume, candidate) for candidate in candidates]
        clock.lap("readings", 0.8)
        return [
            _Seen(lung, reading)
            for reading in readings
            if reading and reading.credibility >= NODULE_LEVEL and reading.features.diameter_mm >= SMALLEST_REPORTED_MM
        ]

    def _nodule(self, volume: Volume, seen: _Seen) -> Nodule | None:
        laterality = seen.lung.laterality
        if laterality is None:
            raise ValueError(f"{seen.lung.key} has no side")
        upper = _is_upper(volume, seen.lung.mask, float(seen.reading.candidate.centre_mm[2]))
        return nodule_of(volume, seen.reading, laterality, self._model, upper=upper)

    def _findings(self, volume: Volume, nodules: list[Nodule], remarks: tuple[str, ...], clock: Clock) -> Findings:
        patient = volume.patient or PatientFacts()
        segments = tuple(segment_of(volume, nodule, number, patient) for number, nodule in enumerate(nodules, start=1))
        clock.lap("measurements", 0.9)
        explanations = tuple(self._explanation(volume, nodule, number) for number, nodule in enumerate(nodules, start=1))
        clock.lap("explanations", 0.95)
        return Findings(
            algorithm=self.algorithm(),
            outcome=Outcome.FINDINGS if segments else Outcome.NOTHING_FOUND,
            segments=segments,
            finding_category=CATEGORY,
            finding_type=NODULE,
            reason="" if segments else f"No nodule of {SMALLEST_REPORTED_MM:.0f} mm or more was found in the lungs.",
            remarks=remarks,
            explanations=explanations,
            timings_s=clock.timings_s,
        )

    def _explanation(self, volume: Volume, nodule: Nodule, number: int) -> Explanation:
        reading = nodule.reading
        box, heat = field_on_source(volume, reading.classified_grid, explain(self._networks, reading), 0.0)
        first = (box[0].start, box[1].start, box[2].start)
        return Explanation(f"nodule-{number}", f"Grad-CAM, malignancy of nodule {number}", heat.clip(0, 1), first)


def require_fine_chest_ct(volume: Volume) -> None:
    """Refuse what nodules cannot be seen on.

    Raises:
        Refusal: with the reason for the physician.
    """
    require_chest_ct(volume)
    thickness = volume.spacing_mm[0]
    if thickness > THICKEST_MM:
        raise Refusal(f"The slices are {thickness:.1f} mm apart; nodules need {THICKEST_MM:.0f} mm or less, best 1 to 2 mm.")
    if max(volume.pixel_spacing_mm) > COARSEST_PIXEL_MM:
        raise Refusal(
            f"The pixels are {max(volume.pixel_spacing_mm):.1f} mm wide; nodules need {COARSEST_PIXEL_MM:.1f} mm or less."
        )
    coverage = float(np.ptp(volume.along_normal_mm))
    if coverage < LEAST_COVERAGE_MM:
        raise Refusal(f"The slices cover only {coverage:.0f} mm; nodules are looked for from {LEAST_COVERAGE_MM:.0f} mm on.")


def feature_model(package: ModelPackage) -> FeatureModel:
    """What the recipe fitted, from the metadata of the classifier's package."""
    fitted = _Fitted.model_validate((package.metadata.model_extra or {})["fitted"])
    return FeatureModel(
        SizeModel(fitted.size_slope, fitted.size_intercept),
        Spiculation(fitted.spiculation_intercept, fitted.spiculation_roughness),
    )


def _remarks(volume: Volume, found: int) -> list[str]:
    remarks = [_PREVIEW, _CALIBRATION]
    step = max(volume.spacing_mm[0], volume.slice_thickness_mm or 0.0)
    if step > GOOD_STEP_MM:
        remarks.append(f"Slices of {step:.1f} mm: small nodules may be missed and sizes are uncertain.")
    if found > MOST_REPORTED:
        remarks.append(f"{count(found, 'place')} looked like a nodule; only the {MOST_REPORTED} likeliest are reported.")
    return remarks


def _distinct(seen: Sequence[_Seen]) -> list[_Seen]:
    """Without those whose centre lies within a larger one; largest first."""
    kept: list[_Seen] = []
    for each in sorted(seen, key=lambda each: -each.reading.features.diameter_mm):
        centre = each.reading.candidate.centre_mm
        if all(np.linalg.norm(centre - other.reading.candidate.centre_mm) > _radius_mm(other) for other in kept):
            kept.append(each)
    return kept


def _radius_mm(seen: _Seen) -> float:
    return seen.reading.features.diameter_mm / 2


def _is_upper(volume: Volume, lung: Bool[np.ndarray, "slices rows columns"], height_mm: float) -> bool:
    """Whether a height (LPS z) lies in the upper half of a lung."""
    ends = [np.flatnonzero(lung.any(axis=tuple(other for other in range(3) if other != axis)))[[0, -1]] for axis in range(3)]
    corners = np.stack(np.meshgrid(*ends, [1.0], indexing="ij"), axis=-1).reshape(-1, 4) @ volume.affine.T
    return bool(height_mm > corners[:, 2].mean())
