"""Findings in, SOP Instances out, files on disk."""

import os
from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_node import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.model import Result, ResultKind
from dicom_node.report.captures import make_captures
from dicom_node.report.context import Analysed, MadeResult, ReportContext, volume_of
from dicom_node.report.lenient import lenient
from dicom_node.report.normalise import normalise
from dicom_node.report.parametric_map import make_parametric_maps
from dicom_node.report.segmentation import make_segmentation, marked_segments
from dicom_node.report.sense import require_sense
from dicom_node.report.structured_report import make_reports
from engine.findings import Findings


def make_results(
    findings: Findings,
    analysed: Analysed,
    sources: Sequence[Dataset],
    context: ReportContext,
    companions: Sequence[Dataset] = (),
) -> list[MadeResult]:
    """Every form of a job's result: SEG where something is marked, SR always, captures and maps where wanted or needed.

    Args:
        findings: the engine's claim; its masks lie on the volume's grid.
        analysed: what the engine saw; None where the input was refused before there was anything.
        sources: headers of the source series in any order; no pixel data is needed.
        context: the job's part.
        companions: headers of the other series that the engine looked at: evidence of the report.

    Raises:
        ValueError: there is no source, a mask or heat map does not lie on what was analysed, or two findings have the same key
            or label.
    """
    marked = marked_segments(findings)
    require_sense(findings, analysed)
    volume, wanted = volume_of(analysed), context.identity.extra_kinds
    with lenient():  # identifiers are copied as they stand; what the node makes is checked after
        source = normalise(sources, analysed, context, companions)
        segmentation = None
        if volume is not None and marked and source.frame_of_reference_uid:
            segmentation = make_segmentation(findings, marked, volume, source, context)
        made = [MadeResult(ResultKind.SEG, 0, segmentation)] if segmentation is not None else []
        made += make_reports(findings, marked, analysed, source, segmentation, context)
        unmarked = bool(findings.images or (marked and segmentation is None))
        if analysed is not None and (ResultKind.SC in wanted or unmarked):
            made += make_captures(findings, analysed, source, context)
        if volume is not None and ResultKind.PM in wanted and source.frame_of_reference_uid:
            made += make_parametric_maps(findings, volume, source, context)
    return made


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
    form = f"-{made.rank}" if made.rank else f"-part-{made.part}" if made.part else ""
    path = directory / f"{made.kind.value.lower()}{form}.dcm"
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
