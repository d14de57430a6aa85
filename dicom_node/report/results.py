"""Findings in, SOP Instances out, files on disk."""

import os
from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_node import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.model import Result, ResultKind
from dicom_node.report.context import MadeResult, ReportContext
from dicom_node.report.lenient import lenient
from dicom_node.report.normalise import normalise
from dicom_node.report.segmentation import make_segmentation, marked_segments
from dicom_node.report.snapshot import make_snapshot
from dicom_node.report.structured_report import make_reports
from engine.findings import Findings
from engine.volume import Volume


def make_results(
    findings: Findings, volume: Volume | None, sources: Sequence[Dataset], context: ReportContext
) -> list[MadeResult]:
    """Every form of a job's result: SEG where something is marked, SR always, secondary capture where wanted or needed.

    Args:
        findings: the engine's claim; its masks lie on the volume's grid.
        volume: what the engine saw; None where the input was refused before there was one.
        sources: headers of the source series in any order; no pixel data is needed.
        context: the job's part.

    Raises:
        ValueError: there is no source, a mask has another shape than the volume, or two segments have the same key or label.
    """
    marked = marked_segments(findings)
    _require_sense(findings, volume)
    with lenient():  # identifiers are copied as they stand; what the node makes is checked after
        source = normalise(sources, volume, context)
        segmentation = None
        if volume is not None and marked and source.frame_of_reference_uid:
            segmentation = make_segmentation(findings, marked, volume, source, context)
        made = [MadeResult(ResultKind.SEG, 0, segmentation)] if segmentation is not None else []
        made += make_reports(findings, marked, volume, source, segmentation, context)
        if volume is not None and (context.snapshot or (marked and segmentation is None)):
            made.append(MadeResult(ResultKind.SC, 0, make_snapshot(findings, volume, source, context)))
    return made


def _require_sense(findings: Findings, volume: Volume | None) -> None:
    for names in ([s.key for s in findings.segments], [s.label for s in findings.segments]):
        if len(set(names)) < len(names):
            raise ValueError(f"segments need different keys and labels: {', '.join(names)}")
    for segment in findings.segments:
        expected = None if volume is None else volume.voxels.shape
        if segment.mask.shape != expected:
            raise ValueError(f"segment {segment.key!r} has the shape {segment.mask.shape}, the volume {expected}")


def write_results(made: Sequence[MadeResult], directory: Path) -> list[Result]:
    """Write Part 10 files whose names and contents are on stable storage when this returns.

    Raises:
        OSError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    results = [_write(m, directory) for m in made]
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return results


def _write(made: MadeResult, directory: Path) -> Result:
    dataset = made.dataset
    path = directory / f"{made.kind.value.lower()}{f'-{made.rank}' if made.rank else ''}.dcm"
    temporary = path.with_suffix(".tmp")
    whole = Dataset()
    whole.update(dataset)
    whole.file_meta = _file_meta(dataset)
    with temporary.open("wb") as file, lenient():
        dcmwrite(file, whole, enforce_file_format=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    uids = (str(dataset.SOPInstanceUID), str(dataset.SOPClassUID), str(dataset.SeriesInstanceUID))
    return Result(*uids, kind=made.kind, rank=made.rank, path=path)


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta
