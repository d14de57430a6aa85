"""What is made of findings, and that it is made again with the same bytes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.model import Result, ResultKind
from dicom_node.report import make_results
from engine.findings import Findings, Outcome
from tests.reported_series import ALGORITHM, ReportedSeries, reported_series

SEG_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
SR_CLASSES = [f"1.2.840.10008.5.1.4.1.1.88.{n}" for n in (34, 33, 22)]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ReportedSeries:
    return reported_series(tmp_path_factory.mktemp("axial"))


def read(results: list[Result], kind: ResultKind, rank: int = 0) -> Dataset:
    return pydicom.dcmread(next(r.path for r in results if (r.kind, r.rank) == (kind, rank)))


def words(sr: Dataset) -> str:
    """All text and codes of a report."""
    found: list[str] = []
    sr.walk(lambda _, element: found.append(str(element.value)) if element.VR != "SQ" else None)
    return "\n".join(found)


def test_findings_become_one_seg_and_one_report_in_three_forms(case: ReportedSeries, tmp_path: Path) -> None:
    results = case.report(tmp_path)
    assert [(r.kind, r.rank) for r in results] == [(ResultKind.SEG, 0), *((ResultKind.SR, n) for n in range(3))]
    assert [r.sop_class_uid for r in results] == [SEG_CLASS, *SR_CLASSES]
    assert len({r.sop_instance_uid for r in results}) == len({r.series_instance_uid for r in results}) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["seg.dcm", "sr-1.dcm", "sr-2.dcm", "sr.dcm"]


def test_a_repeated_run_writes_the_same_bytes_whatever_the_order_of_the_sources(case: ReportedSeries, tmp_path: Path) -> None:
    first = case.report(tmp_path / "first")
    again = replace(case, headers=case.headers[::-1]).report(tmp_path / "again")
    assert [r.path.read_bytes() for r in first] == [r.path.read_bytes() for r in again]


def test_a_revision_is_a_new_instance_in_the_same_series_that_names_the_old_one(case: ReportedSeries, tmp_path: Path) -> None:
    old = case.report(tmp_path / "1")
    reports = tuple((r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid) for r in old if r.kind is ResultKind.SR)
    new = case.report(tmp_path / "2", revision=2, input_digest="0" * 64, predecessors=reports[:1])
    assert [r.series_instance_uid for r in old] == [r.series_instance_uid for r in new]
    assert not {r.sop_instance_uid for r in old} & {r.sop_instance_uid for r in new}
    sr = read(new, ResultKind.SR)
    replaced = sr.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert sr.InstanceNumber == 2
    assert replaced.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == reports[0][1]
    before, after = (read(r, ResultKind.SEG).SegmentSequence for r in (old, new))
    assert [s.TrackingUID for s in before] == [s.TrackingUID for s in after]


def test_new_weights_are_another_device_in_another_series(case: ReportedSeries, tmp_path: Path) -> None:
    other = replace(case.findings, algorithm=replace(ALGORITHM, weights_digest="cd" * 32))
    old, new = case.report(tmp_path / "old"), case.report(tmp_path / "new", other)
    assert not {r.series_instance_uid for r in old} & {r.series_instance_uid for r in new}
    assert read(old, ResultKind.SEG).DeviceUID != read(new, ResultKind.SEG).DeviceUID


def test_weights_and_device_are_stated_in_both_objects(case: ReportedSeries, tmp_path: Path) -> None:
    results = case.report(tmp_path)
    identification = read(results, ResultKind.SEG).SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    for told in (identification.AlgorithmParameters, words(read(results, ResultKind.SR))):
        assert ALGORITHM.weights_digest in told
        assert ALGORITHM.device in told


def test_dates_are_on_the_clock_of_the_source(tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", "ordered", slices=4)
    sr = read(case.report(tmp_path / "results"), ResultKind.SR)
    assert (sr.TimezoneOffsetFromUTC, sr.ContentDate, sr.ContentTime) == ("+0100", "20240115", "110000")
    assert sr.ContributingEquipmentSequence[0].ContributionDateTime == "20240115110000+0100"


def test_a_request_of_the_source_is_answered_in_the_report(tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", "ordered", slices=4)
    request = read(case.report(tmp_path / "results"), ResultKind.SR).ReferencedRequestSequence[0]
    assert (request.RequestedProcedureID, request.AccessionNumber) == ("RP7", "ACC0001")


def test_empty_segments_are_left_out_and_the_rest_numbered_without_a_gap(case: ReportedSeries, tmp_path: Path) -> None:
    left, right, nodule = case.findings.segments
    findings = replace(case.findings, segments=(replace(left, mask=np.zeros_like(left.mask)), right, nodule))
    seg = read(case.report(tmp_path, findings), ResultKind.SEG)
    assert [(s.SegmentNumber, s.SegmentLabel) for s in seg.SegmentSequence] == [(1, "Right lung"), (2, "Nodule 1")]


@pytest.mark.parametrize("overlapping", [False, True])
def test_overlap_of_segments_is_stated(case: ReportedSeries, tmp_path: Path, *, overlapping: bool) -> None:
    left, right, nodule = case.findings.segments
    right = replace(right, mask=right.mask | nodule.mask) if overlapping else right
    seg = read(case.report(tmp_path, replace(case.findings, segments=(left, right, nodule))), ResultKind.SEG)
    assert seg.SegmentsOverlap == ("YES" if overlapping else "NO")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(Outcome.NOTHING_FOUND, "111241"), (Outcome.PARTLY_ANALYSED, "111243"), (Outcome.NOT_ANALYSED, "111245")],
)
def test_a_result_without_segments_is_a_report_with_the_reason(
    case: ReportedSeries, tmp_path: Path, outcome: Outcome, code: str
) -> None:
    results = case.report(tmp_path, Findings(ALGORITHM, outcome, reason="For a reason."))
    assert {r.kind for r in results} == {ResultKind.SR}
    told = words(read(results, ResultKind.SR))
    assert code in told
    assert "For a reason." in told


@pytest.mark.parametrize("variant", ["axial", "enhanced", "without_type_2", "without_frame_of_reference"])
def test_a_refusal_before_there_is_a_volume_is_reported(tmp_path: Path, variant: str) -> None:
    case = reported_series(tmp_path / "source", variant, slices=3)
    sr = read(case.refuse(tmp_path / "results", "Not analysed: one slice is damaged."), ResultKind.SR)
    assert "Not analysed: one slice is damaged." in words(sr)
    assert sr.StudyInstanceUID == case.series.study_instance_uid


def test_a_source_of_two_attributes_is_still_answered(case: ReportedSeries) -> None:
    header = Dataset()
    header.SOPInstanceUID, header.SOPClassUID = "1.2.3", "1.2.840.10008.5.1.4.1.1.2"
    findings = Findings(ALGORITHM, Outcome.NOT_ANALYSED, reason="Not analysed: no slices.")
    made = make_results(findings, None, [header], case.context)
    assert [m.kind for m in made] == [ResultKind.SR] * 3
    assert not made[0].dataset.PatientName


def test_without_a_frame_of_reference_there_is_a_snapshot_instead_of_a_seg(tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", "without_frame_of_reference", slices=6)
    results = case.report(tmp_path / "results")
    assert [r.kind for r in results] == [*(ResultKind.SR,) * 3, ResultKind.SC]
    assert "no frame of reference" in words(read(results, ResultKind.SR))


def test_what_the_input_lacks_is_said_in_both_objects(case: ReportedSeries, tmp_path: Path) -> None:
    results = case.report(tmp_path, remark="incomplete: 3 slices missing")
    assert read(results, ResultKind.SEG).ContentDescription == "incomplete: 3 slices missing"
    assert "incomplete: 3 slices missing" in words(read(results, ResultKind.SR))


def test_revisions_with_another_outcome_agree_in_what_their_series_says(case: ReportedSeries, tmp_path: Path) -> None:
    refused = case.refuse(tmp_path / "refused")
    later: dict[str, Any] = {
        "revision": 2,
        "input_digest": "0" * 64,
        "as_of": 1_705_399_200.0,
        "remark": "incomplete: 3 slices missing",
    }
    analysed = case.report(tmp_path / "analysed", **later)
    series = ("SeriesInstanceUID", "SeriesDescription", "SeriesDate", "SeriesTime", "SeriesNumber", "Modality")
    old, new = (read(results, ResultKind.SR) for results in (refused, analysed))
    assert [old.get(k) for k in series] == [new.get(k) for k in series]
    assert (old.ContentDate, new.ContentDate) == ("20240115", "20240116")


@pytest.mark.parametrize(("variant", "word"), [("tilted", "tilted"), ("irregular", "uneven")])
def test_odd_geometry_is_said_in_the_description_of_the_seg(tmp_path: Path, variant: str, word: str) -> None:
    case = reported_series(tmp_path / "source", variant, slices=12)
    results = case.report(tmp_path / "results", engine=replace(case.context.engine, title="a title of some length " * 3))
    description = read(results, ResultKind.SEG).SeriesDescription
    assert word in description
    assert len(description) <= 64


def test_series_of_two_engines_in_one_study_get_numbers_of_their_own(case: ReportedSeries, tmp_path: Path) -> None:
    numbers = {
        read(case.report(tmp_path / str(base), series_number_base=base), kind).SeriesNumber
        for base in (9001, 9011)
        for kind in (ResultKind.SEG, ResultKind.SR)
    }
    assert numbers == {9001, 9002, 9011, 9012}


def test_a_mask_of_another_shape_is_refused(case: ReportedSeries) -> None:
    segment = replace(case.findings.segments[0], mask=case.findings.segments[0].mask[1:])
    with pytest.raises(ValueError, match="shape"):
        make_results(replace(case.findings, segments=(segment,)), case.volume, case.headers, case.context)


def test_two_segments_of_one_label_are_refused(case: ReportedSeries) -> None:
    left, right, _ = case.findings.segments
    twice = replace(case.findings, segments=(left, replace(right, label=left.label)))
    with pytest.raises(ValueError, match="different keys and labels"):
        make_results(twice, case.volume, case.headers, case.context)
