"""What the node itself writes, and outlines as a planning system writes them, read back as labels."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pydicom.uid as uids
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from engine.reading import read_series
from engine.volume import Volume
from tests.reported_series import reported_series
from tests.synthetic_ct import SyntheticSeries, write_ct
from training.errors import LabelError
from training.readers.dicom_folder import read_dicom_folder
from training.readers.labelled_case import LabelledCase

GRIDS = ("axial", "oblique", "feet_first", "tilted", "enhanced")


def _only(folder: Path) -> LabelledCase:
    (case,) = read_dicom_folder(folder)
    return case


def _mask(case: LabelledCase, structure: str) -> np.ndarray:
    return np.asarray(case.labels == case.structures.index(structure))


def _circle(volume: Volume, index: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    """Points of a circle in LPS mm; centre and radius in voxels of (row, column)."""
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    rows, columns = centre[0] + radius * np.sin(angles), centre[1] + radius * np.cos(angles)
    down = volume.column_direction * volume.pixel_spacing_mm[0]
    across = volume.row_direction * volume.pixel_spacing_mm[1]
    return np.asarray(volume.positions_mm[index] + rows[:, None] * down + columns[:, None] * across)


def _disc(volume: Volume, centre: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.indices(volume.voxels.shape[1:])
    return np.asarray((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2)


def _rtstruct(series: SyntheticSeries, structures: dict[str, Sequence[np.ndarray]], kind: str = "CLOSED_PLANAR") -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = uids.RTStructureSetStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uids.UID("2.25.77")
    dataset.Modality, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "RTSTRUCT", series.study_instance_uid, "2.25.78"
    reference = Dataset()
    reference.SeriesInstanceUID = series.series_instance_uid
    dataset.ReferencedFrameOfReferenceSequence = [reference]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, outlines) in enumerate(structures.items(), start=1):
        structure, outlined = Dataset(), Dataset()
        structure.ROINumber, structure.ROIName = number, name
        outlined.ReferencedROINumber = number
        outlined.ContourSequence = []
        for points in outlines:
            contour = Dataset()
            contour.ContourGeometricType = kind
            contour.ContourData = [f"{value:.4f}" for value in points.ravel()]
            outlined.ContourSequence.append(contour)
        dataset.StructureSetROISequence.append(structure)
        dataset.ROIContourSequence.append(outlined)
    return dataset


@pytest.mark.parametrize("variant", GRIDS)
def test_segments_and_reports_of_the_node_come_back_as_they_were(tmp_path: Path, variant: str) -> None:
    made = reported_series(tmp_path / "ct", variant, rows=48, slices=12)
    results = made.report(tmp_path / "results")
    truth = {segment.label: segment.mask for segment in made.findings.segments}
    for kinds in (("SEG",), ("SEG", "SR")):
        folder = tmp_path / "-".join(kinds)
        shutil.copytree(tmp_path / "ct", folder)
        for result in results:
            if str(pydicom.dcmread(result.path).Modality) in kinds:
                shutil.copy(result.path, folder)
        case = _only(folder)
        found = {name: _mask(case, name) for name in case.structures[1:]}
        assert len(found) == len(truth)
        for mask in truth.values():
            assert any(np.array_equal(mask, other) for other in found.values())
        assert case.patient.startswith("patient-")
        assert np.array_equal(case.image, made.volume.voxels)
        assert np.allclose(case.affine, made.volume.affine)
    assert {name for lesion in case.lesions for name in lesion.ratings} >= {"Attenuation Coefficient", "Long Axis"}


@pytest.mark.parametrize("variant", ["axial", "oblique", "feet_first", "descending"])
def test_outlines_become_masks_with_their_holes(tmp_path: Path, variant: str) -> None:
    series = write_ct(tmp_path, variant, rows=48, slices=6)
    volume = read_series(series.paths)
    ring = [_circle(volume, 2, (20, 30), 12.0), _circle(volume, 2, (20, 30), 5.5), _circle(volume, 3, (20, 30), 12.0)]
    dot = [_circle(volume, 4, (10.2, 9.4), 3.3)]
    _rtstruct(series, {"ring": ring, "dot": dot}).save_as(tmp_path / "labels.dcm", enforce_file_format=True)
    case = _only(tmp_path)
    assert case.structures == ("background", "ring", "dot")
    outer, inner = _disc(volume, (20, 30), 12.0), _disc(volume, (20, 30), 5.5)
    assert np.count_nonzero(_mask(case, "ring")[2] ^ (outer & ~inner)) <= 8, "pixels whose centre is on the polygon"
    assert np.count_nonzero(_mask(case, "ring")[3] ^ outer) <= 8
    assert np.array_equal(_mask(case, "dot")[4], _disc(volume, (10.2, 9.4), 3.3))
    assert _mask(case, "ring").any(axis=(1, 2)).tolist() == [False, False, True, True, False, False]


def test_outlines_that_do_not_fit_the_slices_are_refused(tmp_path: Path) -> None:
    series = write_ct(tmp_path / "ct", rows=48, slices=6)
    volume = read_series(series.paths)
    flat = _circle(volume, 2, (20, 30), 12.0)
    slanted = flat + np.outer(np.linspace(0, 60, len(flat)), volume.normal)
    for outline, said in ((slanted, "leaves its plane"), (flat + 900 * volume.normal, "has no slice")):
        _rtstruct(series, {"wrong": [outline]}).save_as(tmp_path / "ct" / "labels.dcm", enforce_file_format=True)
        with pytest.raises(LabelError, match=said) as refused:
            _only(tmp_path / "ct")
        assert "'wrong'" in str(refused.value)


def test_points_alone_are_no_labels(tmp_path: Path) -> None:
    series = write_ct(tmp_path, rows=48, slices=6)
    volume = read_series(series.paths)
    marks = _rtstruct(series, {"isocentre": [_circle(volume, 1, (5, 5), 1)[:1]]}, kind="POINT")
    marks.save_as(tmp_path / "labels.dcm", enforce_file_format=True)
    with pytest.raises(LabelError, match="outlines no region"):
        _only(tmp_path)


def test_a_segmentation_on_another_grid_is_refused(tmp_path: Path) -> None:
    made = reported_series(tmp_path / "ct", rows=48, slices=12)
    written = [pydicom.dcmread(result.path) for result in made.report(tmp_path / "results")]
    (dataset,) = [each for each in written if each.Modality == "SEG"]
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [3.3, 3.3]
    dataset.save_as(tmp_path / "ct" / "seg.dcm")
    with pytest.raises(LabelError, match="another grid"):
        _only(tmp_path / "ct")


def test_a_report_without_the_segmentation_that_it_names_is_refused(tmp_path: Path) -> None:
    made = reported_series(tmp_path / "ct", rows=48, slices=12)
    for result in made.report(tmp_path / "results"):
        if pydicom.dcmread(result.path).Modality == "SR":
            shutil.copy(result.path, tmp_path / "ct")
    with pytest.raises(LabelError, match="not in the folder"):
        _only(tmp_path / "ct")


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    write_ct(tmp_path, rows=48, slices=6)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(LabelError, match="1 image series and 0 objects with labels"):
        _only(tmp_path)


def test_a_report_with_outlines_alone_labels_the_slices_that_they_are_on(tmp_path: Path) -> None:
    made = reported_series(tmp_path / "ct", rows=48, slices=12)
    written = [pydicom.dcmread(result.path) for result in made.report(tmp_path / "results")]
    for number, report in enumerate(each for each in written if each.Modality == "SR"):
        _drop_segments(report)
        report.save_as(tmp_path / "ct" / f"report{number}.dcm")
    case = _only(tmp_path / "ct")
    for segment in made.findings.segments:
        largest = int(segment.mask.sum(axis=(1, 2)).argmax())
        assert max(_dice(_mask(case, name)[largest], segment.mask[largest]) for name in case.structures[1:]) > 0.8, (
            segment.label
        )


def _dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth)))


def test_a_report_that_shows_no_place_is_refused(tmp_path: Path) -> None:
    made = reported_series(tmp_path / "ct", rows=48, slices=12)
    for result in made.refuse(tmp_path / "results"):
        if pydicom.dcmread(result.path).Modality == "SR":
            shutil.copy(result.path, tmp_path / "ct")
    with pytest.raises(LabelError, match="cannot be learnt from"):
        _only(tmp_path / "ct")


def _drop_segments(item: Dataset) -> None:
    content = [child for child in item.get("ContentSequence", ()) if _name(child) != "121191"]
    if "ContentSequence" in item:
        item.ContentSequence = content
    for child in content:
        _drop_segments(child)


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if "ConceptNameCodeSequence" in item else ""
