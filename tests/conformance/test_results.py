"""What the node writes, before independent judges: dicom3tools, PixelMed, DCMTK, dcmqi and our own cross checks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.model import Result, ResultKind
from dicom_node.report import check_results
from engine.findings import Findings, Outcome
from tests.conformance.judges import find_judges, judge
from tests.reported_series import ALGORITHM, NODULE, ReportedSeries, claims, halved_series, reported_series

pytestmark = pytest.mark.judges
EXTRA = frozenset({ResultKind.SC, ResultKind.PM})
EVERYTHING = ("axial", "tilted", "enhanced")
"""With judgements, numbers of the examination, heat maps as pictures and as maps."""
QUICK = ("axial", "tilted", "enhanced", "japanese")
SLOW = (
    *("oblique", "descending", "irregular", "duplicates", "feet_first", "prone", "one_slice", "ordered"),
    *("without_type_2", "utf8", "gb18030", "korean", "cyrillic", "latin1", "padded", "implicit", "big_endian", "jpeg_ls"),
)


@pytest.fixture(autouse=True)
def _judges() -> None:
    find_judges()


def preferred(results: list[Result], rank: int = 0) -> None:
    """Leave in the folder what one destination would get: of the reports, the one of this rank."""
    for result in results:
        if result.kind is ResultKind.SR and result.rank != rank:
            result.path.unlink()


def accept(case: ReportedSeries, results: list[Result], *, rank: int = 0, findings: Findings | None = None) -> None:
    assert check_results(results, case.headers, case.volume, findings or case.findings) == []
    preferred(results, rank)
    verdict = judge(case.directory, results[0].path.parent)
    assert verdict.accepted, verdict.text


@pytest.mark.parametrize("variant", [*QUICK, *(pytest.param(v, marks=pytest.mark.slow) for v in SLOW)])
def test_findings_are_accepted_for_every_kind_of_source(variant: str, tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", variant)
    everything = variant in EVERYTHING
    findings = claims(case) if everything else case.findings
    results = case.report(tmp_path / "results", findings, extra_kinds=EXTRA if everything else frozenset())
    accept(case, results, findings=findings)


@pytest.mark.parametrize("variant", ["without_frame_of_reference"])
def test_a_report_and_a_snapshot_are_accepted_where_there_can_be_no_seg(variant: str, tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", variant)
    accept(case, case.report(tmp_path / "results"))


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 2])
def test_fallback_reports_are_accepted(rank: int, tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source")
    accept(case, case.report(tmp_path / "results"), rank=rank)


@pytest.mark.parametrize("variant", ["axial", pytest.param("enhanced", marks=pytest.mark.slow)])
def test_a_refusal_is_accepted(variant: str, tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", variant)
    results = case.refuse(tmp_path / "results")
    preferred(results)
    verdict = judge(case.directory, tmp_path / "results")
    assert verdict.accepted, verdict.text


def _nothing_found(case: ReportedSeries) -> Findings:
    return Findings(ALGORITHM, Outcome.NOTHING_FOUND, reason="No nodule was found.", finding_type=NODULE)


def _only_anatomy(case: ReportedSeries) -> Findings:
    lungs = case.findings.segments[:2]
    return Findings(ALGORITHM, Outcome.NOTHING_FOUND, lungs, reason="No nodule was found.", finding_type=NODULE)


def _one_segment(case: ReportedSeries) -> Findings:
    reason = "The left lung could not be analysed."
    return Findings(ALGORITHM, Outcome.PARTLY_ANALYSED, case.findings.segments[1:2], reason=reason)


def _partly_empty(case: ReportedSeries) -> Findings:
    left, right, nodule = case.findings.segments
    middle_missing = left.mask.copy()
    middle_missing[len(middle_missing) // 2] = False
    empty = replace(nodule, key="nodule-2", label="Nodule 2", mask=np.zeros_like(nodule.mask))
    return replace(case.findings, segments=(empty, replace(left, mask=middle_missing), right, nodule))


def _overlapping(case: ReportedSeries) -> Findings:
    left, right, nodule = case.findings.segments
    return replace(case.findings, segments=(left, replace(right, mask=right.mask | nodule.mask), nodule))


def _remarked(case: ReportedSeries) -> Findings:
    return replace(case.findings, remarks=("Slices of 5 mm: small nodules may be missed.", "Übergröße, 肺"))


@pytest.mark.slow
@pytest.mark.parametrize("make", [_nothing_found, _only_anatomy, _one_segment, _partly_empty, _overlapping, _remarked])
def test_other_findings_are_accepted(make: Callable[[ReportedSeries], Findings], tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source")
    findings = make(case)
    accept(case, case.report(tmp_path / "results", findings), findings=findings)


@pytest.mark.slow
def test_a_revision_is_accepted_beside_the_result_that_it_replaces(tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source")
    old = case.report(tmp_path / "results" / "old", remark="incomplete: 3 slices missing")
    named = tuple((r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid) for r in old if r.kind is ResultKind.SR)
    changes: dict[str, Any] = {"revision": 2, "input_digest": "1" * 64, "predecessors": named[:1], "as_of": 1_705_399_200.0}
    new = case.report(tmp_path / "results" / "new", **changes)
    for results in (old, new):
        assert check_results(results, case.headers, case.volume, case.findings) == []
        preferred(results)
    verdict = judge(case.directory, tmp_path / "results")
    assert verdict.accepted, verdict.text


@pytest.mark.slow
@pytest.mark.parametrize("images", ["chest_ct", "abdomen_ct", "brain_mr"])
def test_findings_on_real_images_are_accepted(images: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    directory: Path = request.getfixturevalue(images)
    case = halved_series(directory)
    results = case.report(tmp_path)
    assert check_results(results, case.headers, case.volume, case.findings) == []
    preferred(results)
    verdict = judge(directory, tmp_path)
    assert verdict.accepted, verdict.text


@dataclass(frozen=True)
class Twin:
    """A good result with one thing broken, and the judges that must see it."""

    kind: ResultKind
    break_it: Callable[[Dataset], None]
    judges: str


def _shift(seg: Dataset) -> None:
    for frame in seg.PerFrameFunctionalGroupsSequence:
        x, y, z = frame.PlanePositionSequence[0].ImagePositionPatient
        frame.PlanePositionSequence[0].ImagePositionPatient = [x, y, float(z) + 2]


def _reverse_positions(seg: Dataset) -> None:
    frames = [f.PlanePositionSequence for f in seg.PerFrameFunctionalGroupsSequence]
    for frame, position in zip(seg.PerFrameFunctionalGroupsSequence, frames[::-1], strict=True):
        frame.PlanePositionSequence = position


def _swap_labels(seg: Dataset) -> None:
    first, second = seg.SegmentSequence[:2]
    first.SegmentLabel, second.SegmentLabel = second.SegmentLabel, first.SegmentLabel


def _other_frame_of_reference(seg: Dataset) -> None:
    seg.FrameOfReferenceUID = "2.25.999"


def _other_patient(seg: Dataset) -> None:
    seg.PatientID = "OTHER"


def _no_pixels(seg: Dataset) -> None:
    seg.PixelData = bytes(len(seg.PixelData))


def _items(item: Dataset, concept: str) -> list[Dataset]:
    below = [found for child in item.get("ContentSequence", []) for found in _items(child, concept)]
    names = item.get("ConceptNameCodeSequence")
    return [item, *below] if names and names[0].CodeValue == concept else below


def _other_segment(sr: Dataset) -> None:
    first, second = _items(sr, "121191")[:2]
    first.ReferencedSOPSequence, second.ReferencedSOPSequence = second.ReferencedSOPSequence, first.ReferencedSOPSequence


def _other_unit(sr: Dataset) -> None:
    unit = _items(sr, "118565006")[0].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    unit.CodeValue, unit.CodeMeaning = "mm3", "cubic millimeter"


def _other_volume(sr: Dataset) -> None:
    measured = _items(sr, "118565006")[0].MeasuredValueSequence[0]
    measured.NumericValue = f"{float(measured.NumericValue) * 1.1:.3f}"


def _no_seg_in_evidence(sr: Dataset) -> None:
    series = sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    kept = [s for s in series if not str(s.ReferencedSOPSequence[0].ReferencedSOPClassUID).endswith("66.4")]
    sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence = kept


TWINS = [
    Twin(ResultKind.SEG, _shift, "references,dcmqi-seg"),
    Twin(ResultKind.SEG, _reverse_positions, "references,dcmqi-seg"),
    Twin(ResultKind.SEG, _swap_labels, "policy"),
    Twin(ResultKind.SEG, _other_frame_of_reference, "references,identity"),
    Twin(ResultKind.SEG, _other_patient, "identity"),
    Twin(ResultKind.SEG, _no_pixels, "policy"),
    Twin(ResultKind.SR, _other_segment, "references"),
    Twin(ResultKind.SR, _other_unit, "dcmqi-sr"),
    Twin(ResultKind.SR, _other_volume, "dcmqi-sr"),
    Twin(ResultKind.SR, _no_seg_in_evidence, "references"),
]


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.break_it.__name__.strip("_"))
def test_a_broken_twin_is_refused_by_the_judges_and_by_the_node(twin: Twin, tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", rows=48, slices=12)
    results = case.report(tmp_path / "results")
    preferred(results)
    results = [r for r in results if r.path.exists()]
    assert judge(case.directory, tmp_path / "results", only=twin.judges).accepted
    path = next(r.path for r in results if r.kind is twin.kind)
    broken = pydicom.dcmread(path)
    twin.break_it(broken)
    broken.save_as(path)
    assert check_results(results, case.headers, case.volume, case.findings)
    assert judge(case.directory, tmp_path / "results", only=twin.judges).failures
