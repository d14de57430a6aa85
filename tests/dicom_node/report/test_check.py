"""The node holds back what it got wrong: each broken twin is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.model import Result, ResultKind
from dicom_node.report import check_results
from tests.reported_series import ReportedSeries, reported_series

Break = Callable[[Dataset], None]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ReportedSeries:
    return reported_series(tmp_path_factory.mktemp("axial"), rows=48, slices=10)


def broken(results: list[Result], kind: ResultKind, break_it: Break) -> None:
    path = next(r.path for r in results if r.kind is kind)
    dataset = pydicom.dcmread(path)
    break_it(dataset)
    dataset.save_as(path)


def problems(case: ReportedSeries, results: list[Result]) -> list[str]:
    return check_results(results, case.headers, case.volume, case.findings)


def test_good_results_have_no_problem(case: ReportedSeries, tmp_path: Path) -> None:
    assert problems(case, case.report(tmp_path, extra_kinds=frozenset({ResultKind.SC}))) == []


def test_a_refusal_has_no_problem(case: ReportedSeries, tmp_path: Path) -> None:
    assert check_results(case.refuse(tmp_path), case.headers, None, replace(case.findings, segments=())) == []


def _delete_pixels(d: Dataset) -> None:
    del d.PixelData


def _cite_another_slice(d: Dataset) -> None:
    frames = d.PerFrameFunctionalGroupsSequence
    frames[0].DerivationImageSequence = frames[1].DerivationImageSequence


def _cite_a_stranger(d: Dataset) -> None:
    d.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = "2.25.404"


def _turn(d: Dataset) -> None:
    d.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, 1, 0, 0]


def _stretch(d: Dataset) -> None:
    d.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [1, 1]


def _other_segment_number(d: Dataset) -> None:
    d.PerFrameFunctionalGroupsSequence[3].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 7


def _flip_a_voxel(d: Dataset) -> None:
    d.PixelData = bytes([d.PixelData[0] ^ 1]) + d.PixelData[1:]


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (_delete_pixels, "no pixel data"),
        (_cite_another_slice, "does not lie on the slice"),
        (_cite_a_stranger, "which is not there"),
        (_turn, "another orientation"),
        (_stretch, "another pixel spacing"),
        (_other_segment_number, "belongs to segment 7"),
        (_flip_a_voxel, "is not what was found"),
    ],
)
def test_a_broken_seg_is_held(case: ReportedSeries, tmp_path: Path, break_it: Break, words: str) -> None:
    results = case.report(tmp_path)
    broken(results, ResultKind.SEG, break_it)
    assert any(words in p or "cannot be read back" in p for p in problems(case, results))


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber"])
def test_the_result_of_another_patient_or_order_is_held(case: ReportedSeries, tmp_path: Path, keyword: str) -> None:
    results = case.report(tmp_path)
    broken(results, ResultKind.SR, lambda d: setattr(d, keyword, "1.2.3"))
    found = problems(case, results)
    assert found == [f"sr.dcm: {keyword} is not the source's"]
    assert not any(case.headers[0].PatientID in p for p in found)


def test_a_truncated_file_is_held(case: ReportedSeries, tmp_path: Path) -> None:
    results = case.report(tmp_path)
    results[0].path.write_bytes(results[0].path.read_bytes()[:-400])
    assert problems(case, results)


def test_a_seg_without_a_report_is_held(case: ReportedSeries, tmp_path: Path) -> None:
    assert problems(case, case.report(tmp_path)[:1]) == ["there is no report"]
