"""A synthetic series with findings that are known, ready to be reported."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from dicom_node.model import Result
from dicom_node.report import Equipment, ReportContext, ResultIdentity, make_results, write_results
from engine.api import EngineInfo
from engine.findings import Algorithm, Code, Evaluation, Explanation, Findings, Measurement, Outcome, Segment
from engine.reading import read_series
from engine.volume import Volume
from tests.synthetic_ct import SyntheticSeries, Variant, write_ct

LUNG = Code("39607008", "SCT", "Lung")
NODULE = Code("27925004", "SCT", "Nodule")
ANATOMICAL = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LEFT, RIGHT = Code("7771000", "SCT", "Left"), Code("24028007", "SCT", "Right")
ATTENUATION, MEAN = Code("112031", "DCM", "Attenuation Coefficient"), Code("373098007", "SCT", "Mean")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
LONG_AXIS, MILLIMETRE = Code("103339001", "SCT", "Long Axis"), Code("mm", "UCUM", "millimeter")
CT_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")

ALGORITHM = Algorithm("Test Lung Net", "1.2.0", "Example Makers", "ab" * 32, "CPU, fp32", "whole volume")
ENGINE = EngineInfo("test-lungs", "lung segmentation", "LUNG_AI", ("CT",), ANATOMICAL, LUNG, CT_PROCEDURE)

SHORT_AXIS = Code("103340004", "SCT", "Short Axis")
CATEGORY = Evaluation(Code("category", "99DCMNODE", "Lung-RADS style category"), Code("4A", "99DCMNODE", "4A"))
IN_WORDS = Evaluation(Code("129739002", "SCT", "Attenuation"), "part solid")
COUNT = Measurement(Code("number", "99DCMNODE", "Number of nodules"), 1, Code("{nodules}", "UCUM", "nodules"))


@dataclass(frozen=True)
class ReportedSeries:
    """A series on disk, what the reader makes of it, and findings on its grid; `truth` where it was written here."""

    directory: Path
    headers: tuple[Dataset, ...]
    volume: Volume
    findings: Findings
    context: ReportContext
    truth: SyntheticSeries | None = None

    @property
    def series(self) -> SyntheticSeries:
        assert self.truth is not None
        return self.truth

    def report(self, directory: Path, findings: Findings | None = None, **changes: object) -> list[Result]:
        """Results as written; `changes` are of the engine, or of the result's identity."""
        context = self.report_context(**changes)
        return write_results(make_results(findings or self.findings, self.volume, self.headers, context), directory)

    def report_context(self, **changes: object) -> ReportContext:
        engine = changes.pop("engine", self.context.engine)
        return ReportContext(engine, replace(self.context.identity, **changes))  # type: ignore[arg-type]

    def refuse(self, directory: Path, reason: str = "Not analysed: the slices are too far apart.") -> list[Result]:
        """Results of a series that was refused before there was a volume."""
        findings = Findings(ALGORITHM, Outcome.NOT_ANALYSED, reason=reason)
        return write_results(make_results(findings, None, self.headers, self.context), directory)


def reported_series(
    directory: Path,
    variant: str | Variant = "axial",
    *,
    rows: int = 64,
    slices: int = 24,
    edit: dict[str, object] | None = None,
) -> ReportedSeries:
    """Both lungs and a round nodule in the right one; `edit` sets source attributes before the series is read again."""
    series = write_ct(directory, variant, rows=rows, slices=slices)
    for path in series.paths if edit else ():
        _edit(path, edit or {})
    volume = read_series(series.paths)
    headers = tuple(pydicom.dcmread(path, stop_before_pixels=True) for path in series.paths)
    return ReportedSeries(directory, headers, volume, lung_findings(series, volume), context_of(headers), series)


def halved_series(directory: Path) -> ReportedSeries:
    """Real images with bright voxels of the patient's left and right half as segments."""
    paths = sorted(p for p in directory.iterdir() if p.is_file())
    volume = read_series(paths)
    headers = tuple(pydicom.dcmread(path, stop_before_pixels=True) for path in paths)
    bright = volume.voxels > np.percentile(volume.voxels, 80)
    middle = bright.shape[2] // 2
    left, right = bright.copy(), bright.copy()
    left[:, :, :middle] = right[:, :, middle:] = False
    segments = (_lung("left", "Left half", left, LEFT, volume), _lung("right", "Right half", right, RIGHT, volume))
    return ReportedSeries(directory, headers, volume, Findings(ALGORITHM, Outcome.FINDINGS, segments), context_of(headers))


def _edit(path: Path, edit: dict[str, object]) -> None:
    dataset = pydicom.dcmread(path)
    with pydicom.config.disable_value_validation():
        for keyword, value in edit.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)


def lung_findings(series: SyntheticSeries, volume: Volume) -> Findings:
    nodule = _ball(series.right_lung)
    segments = (
        _lung("left-lung", "Left lung", series.left_lung, LEFT, volume),
        _lung("right-lung", "Right lung", series.right_lung & ~nodule, RIGHT, volume),
        Segment("nodule-1", "Nodule 1", nodule, ABNORMAL, NODULE, RIGHT, LUNG, (255, 80, 60), _nodule_measurements()),
    )
    return Findings(ALGORITHM, Outcome.FINDINGS, segments)


def heat_map(first: tuple[int, int, int] = (4, 20, 8), shape: tuple[int, int, int] = (6, 12, 10)) -> Explanation:
    """Heat that rises along slices, rows and columns: any turn or shift shows."""
    ramp = np.indices(shape).sum(axis=0).astype(np.float32)
    return Explanation("nodule-1", "Grad-CAM, malignancy of nodule 1", ramp / ramp.max(), first)


def claims(case: ReportedSeries) -> Findings:
    left, right, nodule = case.findings.segments
    judged = replace(nodule, evaluations=(CATEGORY, IN_WORDS))
    segments, explained = (left, right, judged), (heat_map(),)
    return replace(case.findings, segments=segments, measurements=(COUNT,), evaluations=(CATEGORY,), explanations=explained)


def context_of(headers: Sequence[Dataset]) -> ReportContext:
    digest = hashlib.sha256("".join(sorted(str(h.SOPInstanceUID) for h in headers)).encode()).hexdigest()
    equipment = Equipment("Example Hospital", "dicom-node", "0.1.0", "node-1")
    study, own = str(headers[0].StudyInstanceUID), str(headers[0].SeriesInstanceUID)
    return ReportContext(ENGINE, ResultIdentity(study, own, digest, as_of=1_705_312_800.0, equipment=equipment))


def _lung(key: str, label: str, mask: np.ndarray, laterality: Code, volume: Volume) -> Segment:
    mean = float(volume.voxels[mask].mean()) if mask.any() else float("nan")
    colour = (60, 160, 255) if laterality is LEFT else (60, 255, 160)
    return Segment(
        key, label, mask, ANATOMICAL, LUNG, laterality, None, colour, (Measurement(ATTENUATION, mean, HOUNSFIELD, MEAN),)
    )


def _nodule_measurements() -> tuple[Measurement, ...]:
    return (Measurement(LONG_AXIS, 18.0, MILLIMETRE),)


def _ball(mask: np.ndarray) -> np.ndarray:
    """A few voxels around the middle of a mask's fullest slice."""
    ball = np.zeros_like(mask)
    k = int(mask.reshape(len(mask), -1).sum(axis=1).argmax())
    rows, columns = np.nonzero(mask[k])
    row, column = int(np.median(rows)), int(np.median(columns))
    ball[max(k - 1, 0) : k + 2, row - 2 : row + 3, column - 3 : column + 2] = True
    return ball
