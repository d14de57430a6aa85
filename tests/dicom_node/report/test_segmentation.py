"""The SEG's geometry, looked up in the source files by UID and by position, not through the Volume."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicom_node.model import ResultKind
from dicom_node.report.segmentation import decimal
from tests.reported_series import ReportedSeries, reported_series

GEOMETRIES = ["axial", "oblique", "descending", "irregular", "tilted", "duplicates", "feet_first", "prone", "one_slice"]


def written(case: ReportedSeries, directory: Path) -> Dataset:
    return pydicom.dcmread(next(r.path for r in case.report(directory) if r.kind is ResultKind.SEG))


def frames(seg: Dataset) -> list[tuple[int, Dataset, np.ndarray, np.ndarray]]:
    """Segment number, cited source image, position and mask of each frame."""
    bits = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
    size = seg.Rows * seg.Columns
    masks = bits[: size * seg.NumberOfFrames].reshape(-1, seg.Rows, seg.Columns).astype(bool)
    items = seg.PerFrameFunctionalGroupsSequence
    return [
        (
            int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
            item.DerivationImageSequence[0].SourceImageSequence[0],
            np.array(item.PlanePositionSequence[0].ImagePositionPatient, float),
            mask,
        )
        for item, mask in zip(items, masks, strict=True)
    ]


@pytest.mark.parametrize("variant", GEOMETRIES)
def test_every_frame_lies_on_the_slice_that_it_cites_and_holds_its_mask(variant: str, tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", variant, rows=48, slices=14)
    truth = dict(zip(case.series.sop_instance_uids, range(len(case.series.left_lung)), strict=True))
    headers = {str(h.SOPInstanceUID): h for h in case.headers}
    seen = {1: 0, 2: 0, 3: 0}
    for number, image, position, mask in frames(written(case, tmp_path / "results")):
        uid = str(image.ReferencedSOPInstanceUID)
        np.testing.assert_allclose(position, np.array(headers[uid].ImagePositionPatient, float), atol=1e-3)
        np.testing.assert_array_equal(mask, case.findings.segments[number - 1].mask[truth[uid]])
        seen[number] += int(mask.sum())
    assert list(seen.values()) == [int(s.mask.sum()) for s in case.findings.segments]


def test_frames_of_an_enhanced_source_are_cited_by_number_and_place(tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", "enhanced", rows=48, slices=14)
    source = case.headers[0]
    for number, image, position, mask in frames(written(case, tmp_path / "results")):
        cited = source.PerFrameFunctionalGroupsSequence[int(image.ReferencedFrameNumber) - 1]
        np.testing.assert_allclose(position, np.array(cited.PlanePositionSequence[0].ImagePositionPatient, float), atol=1e-3)
        index = int(np.linalg.norm(case.series.positions_mm - position, axis=1).argmin())
        np.testing.assert_array_equal(mask, case.findings.segments[number - 1].mask[index])


def test_frames_come_by_segment_and_then_along_the_normal(tmp_path: Path) -> None:
    seg = written(reported_series(tmp_path / "source", "descending", rows=48, slices=14), tmp_path / "results")
    order = [(number, position[2]) for number, _, position, _ in frames(seg)]
    assert order == sorted(order)
    indices = [tuple(i.FrameContentSequence[0].DimensionIndexValues) for i in seg.PerFrameFunctionalGroupsSequence]
    assert indices == sorted(indices)


def test_a_matrix_whose_size_is_no_multiple_of_eight_bits_is_packed_without_gaps(tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", rows=51, slices=7)
    seg = written(case, tmp_path / "results")
    assert len(seg.PixelData) % 2 == 0
    counts = [int(sum(mask.sum() for n, _, _, mask in frames(seg) if n == number)) for number in (1, 2, 3)]
    assert counts == [int(s.mask.sum()) for s in case.findings.segments]


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6))
def test_a_decimal_string_fits_and_is_close(value: float) -> None:
    text = decimal(value)
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, rel=1e-9, abs=1e-9)
