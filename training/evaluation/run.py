"""Run an engine over labelled volumes and score what it says. What an engine refuses is scored as nothing found."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.ndimage import center_of_mass

from engine.api import AnyEngine, CompanionEngine, Engine, Refusal
from engine.findings import Findings, Segment
from engine.volume import Volume
from training.evaluation.cases import LabelledVolume, Mask, to_mm
from training.evaluation.overlay import overlay
from training.metrics.detection import Candidate, ScanMatch, match_scan
from training.metrics.overlap import dice, intersection_over_union, volume_error_percent
from training.metrics.surface import hausdorff_95_mm, normalised_surface_dice, surface_distances

REFUSED = "refused"
CONFIDENCE_CODES = ("CREDIBILITY", "111012", "122157", "111047")
"""What orders the candidates of a detector, the first that a segment carries: credibility (99DICOMNODE), certainty of finding,
probability, probability of cancer (DCM)."""


@dataclass(frozen=True, slots=True)
class StructureScore:
    """One structure of one case; figures that are not defined are nan."""

    structure: str
    dice: float
    iou: float
    surface_dice: float
    hausdorff_95_mm: float
    truth_ml: float
    found_ml: float

    @property
    def volume_error_percent(self) -> float:
        return volume_error_percent(self.found_ml, self.truth_ml)


@dataclass(frozen=True)
class CaseResult:
    """One case after the engine.

    Attributes:
        outcome: of the findings in words, or "refused".
        reason: of a refusal, or why nothing was found.
        detection: structure -> match of candidates and true lesions, where lesions are known.
        found_ml: volume of every segment by its key, labelled or not.
        picture: PNG of truth and result; empty where there is neither.
    """

    key: str
    patient: str
    attributes: Mapping[str, str]
    outcome: str
    reason: str
    remarks: tuple[str, ...]
    structures: tuple[StructureScore, ...]
    detection: Mapping[str, ScanMatch]
    found_ml: Mapping[str, float]
    picture: bytes
    seconds: float

    @property
    def mean_dice(self) -> float:
        """Over the scored structures; nan without any."""
        return float(np.mean([score.dice for score in self.structures])) if self.structures else float("nan")


Watch = Callable[[CaseResult], None]


def run(
    engine: AnyEngine, cases: Iterable[LabelledVolume], tolerance_mm: float, watch: Watch = lambda result: None
) -> list[CaseResult]:
    """Every case once, one in memory at a time.

    Args:
        engine: for stacks of slices, with or without companions.
        cases: labelled.
        tolerance_mm: of the surface Dice.
        watch: called after each case.

    Raises:
        TypeError: the engine is one for projection images.
    """
    results = []
    for case in cases:
        result = evaluate_case(engine, case, tolerance_mm)
        watch(result)
        results.append(result)
    return results


def evaluate_case(engine: AnyEngine, case: LabelledVolume, tolerance_mm: float) -> CaseResult:
    """One case."""
    started = time.perf_counter()
    try:
        findings: Findings | None = analyse(engine, case.volume, case.companions)
        reason = findings.reason if findings else ""
    except Refusal as refusal:
        findings, reason = None, str(refusal)
    seconds = time.perf_counter() - started
    segments = findings.segments if findings else ()
    found = {structure: found_mask(segments, structure, case.volume) for structure in case.truth}
    return CaseResult(
        key=case.key,
        patient=case.patient,
        attributes=case.attributes,
        outcome=findings.outcome.value if findings else REFUSED,
        reason=reason,
        remarks=findings.remarks if findings else (),
        structures=tuple(_score(case, name, mask, tolerance_mm) for name, mask in found.items()),
        detection={
            structure: match_scan(lesions, candidates_of(segments, structure, case.volume))
            for structure, lesions in case.lesions.items()
        },
        found_ml={segment.key: case.volume.volume_ml(segment.mask) for segment in segments},
        picture=overlay(case.volume, case.truth, found or {segment.key: segment.mask for segment in segments}),
        seconds=seconds,
    )


def analyse(engine: AnyEngine, volume: Volume, companions: Mapping[str, Volume]) -> Findings:
    """The engine's findings.

    Raises:
        Refusal: the engine's own.
        TypeError: the engine is one for projection images.
    """
    if isinstance(engine, CompanionEngine):
        return engine.analyse_with(volume, companions)
    if hasattr(engine, "analyse"):
        return cast("Engine", engine).analyse(volume)
    raise TypeError(f"{engine.info.name} analyses projection images, not stacks of slices")


def segments_of(segments: Iterable[Segment], structure: str) -> list[Segment]:
    """Those whose key is the structure, or the structure and a number ("nodule-2")."""
    pattern = re.compile(rf"{re.escape(structure)}(-\d+)?")
    return [segment for segment in segments if pattern.fullmatch(segment.key)]


def found_mask(segments: Iterable[Segment], structure: str, volume: Volume) -> Mask:
    """The union of a structure's segments."""
    mask = np.zeros(volume.voxels.shape, bool)
    for segment in segments_of(segments, structure):
        mask |= segment.mask
    return mask


def candidates_of(segments: Iterable[Segment], structure: str, volume: Volume) -> list[Candidate]:
    """Each segment of the structure at its centre of mass, with the confidence that it states."""
    return [
        Candidate(to_mm(tuple(center_of_mass(segment.mask)), volume.affine), confidence_of(segment))
        for segment in segments_of(segments, structure)
        if segment.mask.any()
    ]


def confidence_of(segment: Segment) -> float:
    """What the segment's measurements say (CONFIDENCE_CODES, the first of equals); 1 where they say nothing."""
    stated = {measurement.name.value: measurement.value for measurement in reversed(segment.measurements)}
    return next((stated[code] for code in CONFIDENCE_CODES if code in stated), 1.0)


def _score(case: LabelledVolume, structure: str, found: Mask, tolerance_mm: float) -> StructureScore:
    truth = case.truth[structure]
    distances = surface_distances(found, truth, case.volume.affine)
    return StructureScore(
        structure=structure,
        dice=dice(found, truth),
        iou=intersection_over_union(found, truth),
        surface_dice=normalised_surface_dice(distances, tolerance_mm),
        hausdorff_95_mm=hausdorff_95_mm(distances),
        truth_ml=case.volume.volume_ml(truth),
        found_ml=case.volume.volume_ml(found),
    )
