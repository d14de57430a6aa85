"""What an engine claims beside masks: judgements, the examination as a whole, whole images, heat maps."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.model import Result, ResultKind
from dicom_node.report import ReportContext, check_results, make_results, write_results
from engine.findings import Code, Explanation, Findings, ImageFinding, Measurement, Outcome, Segment
from engine.projection import ProjectionImage
from engine.reading import read_images
from tests.reported_series import (
    ABNORMAL,
    ALGORITHM,
    CATEGORY,
    LONG_AXIS,
    LUNG,
    MILLIMETRE,
    NODULE,
    SHORT_AXIS,
    ReportedSeries,
    claims,
    context_of,
    heat_map,
    reported_series,
)
from tests.synthetic_projection import write_projection

BOTH = frozenset({ResultKind.SC, ResultKind.PM})
QUALITATIVE, DERIVED, GROUP = "C0034375", "126011", "125007"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ReportedSeries:
    return reported_series(tmp_path_factory.mktemp("claims"))


@pytest.fixture(scope="module")
def results(case: ReportedSeries, tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    return case.report(tmp_path_factory.mktemp("results"), claims(case), extra_kinds=BOTH)


def of_kind(results: list[Result], kind: ResultKind) -> list[Dataset]:
    return [pydicom.dcmread(r.path) for r in results if r.kind is kind and r.rank == 0]


def items(item: Dataset, concept: str = "") -> Iterator[Dataset]:
    """Content items below with this concept name."""
    for child in item.get("ContentSequence") or []:
        names = child.get("ConceptNameCodeSequence")
        if names and concept in ("", names[0].CodeValue):
            yield child
        yield from items(child, concept)


def said(item: Dataset) -> list[str]:
    """Texts, codes and numbers of an item's own children."""
    found = []
    for child in item.ContentSequence:
        coded = child.get("ConceptCodeSequence")
        number = child.get("MeasuredValueSequence")
        found.append(coded[0].CodeValue if coded else str(number[0].NumericValue) if number else child.get("TextValue", ""))
    return found


def test_judgements_stand_in_the_group_of_their_segment(results: list[Result]) -> None:
    (sr,) = of_kind(results, ResultKind.SR)
    judged = [g for g in items(sr, GROUP) if "4A" in said(g)]
    assert len(judged) == 1
    assert "part solid" in said(judged[0])
    assert "Nodule 1" in said(judged[0])


def test_what_is_said_of_the_examination_stands_apart(results: list[Result]) -> None:
    (sr,) = of_kind(results, ResultKind.SR)
    (derived,), (qualitative,) = list(items(sr, DERIVED)), list(items(sr, QUALITATIVE))
    assert said(derived) == ["1.0"]
    assert "4A" in said(qualitative)


def test_who_is_behind_local_codes_is_told(results: list[Result]) -> None:
    (sr,) = of_kind(results, ResultKind.SR)
    (scheme,) = sr.CodingSchemeIdentificationSequence
    assert (scheme.CodingSchemeDesignator, scheme.CodingSchemeResponsibleOrganization) == ("99DCMNODE", "Example Makers")
    assert "CodingSchemeIdentificationSequence" not in of_kind(results, ResultKind.SEG)[0]


def test_a_heat_map_is_a_capture_of_its_own_beside_the_overview(results: list[Result]) -> None:
    overview, explanation = of_kind(results, ResultKind.SC)
    assert overview.SeriesInstanceUID == explanation.SeriesInstanceUID
    assert (overview.InstanceNumber, explanation.InstanceNumber) == (1, 1001)
    assert explanation.DerivationDescription == "Grad-CAM, malignancy of nodule 1; not for measuring"
    assert len(explanation.SourceImageSequence) == 6
    assert sorted(r.path.name for r in results if r.kind in BOTH) == ["pm.dcm", "sc-part-1.dcm", "sc.dcm"]


def test_heat_is_seen_in_colour_where_it_is(case: ReportedSeries) -> None:
    made = make_results(claims(case), case.volume, case.headers, case.report_context(extra_kinds=BOTH))
    pixels = next(m.dataset for m in made if m.kind is ResultKind.SC and m.part == 1).pixel_array.astype(int)
    whole = pixels[10:430, 10:430]
    rows, columns = np.nonzero(whole[..., 0] - whole[..., 2] > 80)  # red beyond blue
    scale = 420 / case.volume.voxels.shape[2]
    assert 20 * scale <= rows.min() < rows.max() <= 33 * scale
    assert 8 * scale <= columns.min() < columns.max() <= 19 * scale


@pytest.mark.parametrize("variant", ["axial", "oblique", "descending", "tilted", "enhanced"])
def test_a_parametric_map_places_the_heat_where_it_is(variant: str, tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", variant, slices=12, rows=48)
    explanation = heat_map()
    findings = replace(case.findings, explanations=(explanation,))
    written = case.report(tmp_path / "results", findings, extra_kinds=frozenset({ResultKind.PM}))
    assert check_results(written, case.headers, case.volume, findings) == []
    (pm,) = of_kind(written, ResultKind.PM)
    mapping = pm.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    heat = pm.pixel_array * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
    shared = pm.SharedFunctionalGroupsSequence[0]
    along = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    for frame, values in zip(pm.PerFrameFunctionalGroupsSequence, heat, strict=True):
        corner = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        cited = frame.DerivationImageSequence[0].SourceImageSequence[0]
        key = (cited.ReferencedSOPInstanceUID, cited.get("ReferencedFrameNumber"))
        k = [(s.sop_instance_uid, s.frame_number) for s in case.volume.slices].index(key)
        offset = corner - case.volume.positions_mm[k]
        assert (offset @ along[1] / spacing[0], offset @ along[0] / spacing[1]) == pytest.approx((20, 8), abs=1e-3)
        np.testing.assert_allclose(values, explanation.heat[k - 4], atol=1e-4)


def test_a_repeated_run_writes_the_same_pictures_and_maps(case: ReportedSeries, results: list[Result], tmp_path: Path) -> None:
    again = replace(case, headers=case.headers[::-1]).report(tmp_path, claims(case), extra_kinds=BOTH)
    assert [r.path.read_bytes() for r in again] == [r.path.read_bytes() for r in results]
    assert len({r.sop_instance_uid for r in results}) == len(results)


def test_without_a_taker_no_picture_and_no_map_is_made(case: ReportedSeries, tmp_path: Path) -> None:
    assert {r.kind for r in case.report(tmp_path, claims(case))} == {ResultKind.SEG, ResultKind.SR}


@pytest.mark.parametrize("first", [(-1, 0, 0), (20, 0, 0), (0, 60, 0), (0, 0, 60)])
def test_heat_outside_the_volume_is_refused(case: ReportedSeries, first: tuple[int, int, int]) -> None:
    findings = replace(case.findings, explanations=(heat_map(first),))
    with pytest.raises(ValueError, match="does not lie on"):
        make_results(findings, case.volume, case.headers, case.context)


def many_nodules(case: ReportedSeries, count: int = 20) -> Findings:
    """Blocks of 2 x 3 x 3 voxels in rows; each with two axes in plane and a category."""
    segments = []
    for n in range(count):
        mask = np.zeros(case.volume.voxels.shape, bool)
        row, column = 8 + 8 * (n // 5), 8 + 10 * (n % 5)
        mask[n : n + 2, row : row + 3, column : column + 3] = True
        axes = (
            Measurement(LONG_AXIS, 9.5 + n, MILLIMETRE),
            Measurement(SHORT_AXIS, 6.0 + n, MILLIMETRE),
        )
        segments.append(
            Segment(f"nodule-{n + 1}", f"Nodule {n + 1}", mask, ABNORMAL, NODULE, None, LUNG, (255, 80, 60), axes, (CATEGORY,))
        )
    return replace(case.findings, segments=tuple(segments))


def radiographs(directory: Path) -> tuple[Sequence[Dataset], tuple[ProjectionImage, ...], ReportContext]:
    """Two DX images of a series, read; and a context for results about them."""
    for number in (1, 2):
        write_projection(directory / f"{number}.dcm", number=number)
    paths = sorted(directory.iterdir())
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    return headers, read_images(paths), context_of(headers)


def opacity(images: tuple[ProjectionImage, ...], image: int = 1) -> Findings:
    number = (Measurement(Code("122157", "DCM", "Probability"), 91.0, Code("%", "UCUM", "percent")),)
    finding = ImageFinding("opacity", "Opacity", image, ABNORMAL, NODULE, number, (CATEGORY,))
    heat = np.zeros((1, *images[image].pixels.shape), np.float32)
    heat[0, 25:35, 35:45] = 1
    explanation = Explanation("opacity", "Grad-CAM, opacity", heat, (image, 0, 0))
    return Findings(ALGORITHM, Outcome.FINDINGS, images=(finding,), explanations=(explanation,))


def test_a_claim_about_a_whole_image_cites_it_and_has_no_seg(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    headers, images, context = radiographs(tmp_path / "source")
    findings = opacity(images)
    written = write_results(make_results(findings, images, headers, context), tmp_path / "results")
    assert check_results(written, headers, images, findings) == []
    assert {r.kind for r in written} == {ResultKind.SR, ResultKind.SC}
    (group,) = items(of_kind(written, ResultKind.SR)[0], GROUP)
    assert [value for value in said(group) if value in ("91.0", "4A")] == ["91.0", "4A"]
    (cited,) = (i.ReferencedSOPSequence[0] for i in group.ContentSequence if i.ValueType == "IMAGE")
    assert cited.ReferencedSOPInstanceUID == headers[1].SOPInstanceUID
    overview, explanation = of_kind(written, ResultKind.SC)
    assert [len(c.SourceImageSequence) for c in (overview, explanation)] == [2, 1]
    assert list(explanation.PatientOrientation) == ["L", "F"]


def test_a_claim_about_an_image_that_is_not_there_is_refused(tmp_path: Path) -> None:
    headers, images, context = radiographs(tmp_path)
    with pytest.raises(ValueError, match="which is not there"):
        make_results(opacity(images), images[:1], headers, context)


def test_other_series_that_were_looked_at_are_evidence_and_nothing_else(case: ReportedSeries, tmp_path: Path) -> None:
    other = reported_series(tmp_path / "other", "oblique", slices=3)
    alone = case.report(tmp_path / "alone")
    made = make_results(case.findings, case.volume, case.headers, case.context, other.headers)
    written = write_results(made, tmp_path / "both")
    assert check_results(written, case.headers, case.volume, case.findings, other.headers) == []
    (sr,) = of_kind(written, ResultKind.SR)
    listed = {
        s.SeriesInstanceUID: len(s.ReferencedSOPSequence)
        for e in sr.CurrentRequestedProcedureEvidenceSequence
        for s in e.ReferencedSeriesSequence
    }
    assert listed[other.headers[0].SeriesInstanceUID] == 3
    assert of_kind(written, ResultKind.SEG) == of_kind(alone, ResultKind.SEG)


def test_twenty_nodules_keep_their_axes_and_tracking_uids(case: ReportedSeries, tmp_path: Path) -> None:
    findings = many_nodules(case)
    written = case.report(tmp_path, findings)
    assert check_results(written, case.headers, case.volume, findings) == []
    (seg,), (sr,) = of_kind(written, ResultKind.SEG), of_kind(written, ResultKind.SR)
    assert len({s.TrackingUID for s in seg.SegmentSequence}) == 20
    assert seg.SegmentsOverlap == "NO"
    for n, segment in enumerate(seg.SegmentSequence):
        groups = [g for g in items(sr, GROUP) if any(i.get("UID") == segment.TrackingUID for i in g.ContentSequence)]
        assert len(groups) == 2
        numbers = [value for g in groups for value in said(g)]
        assert str(9.5 + n) in numbers
        assert str(6.0 + n) in numbers
