"""The node's own check of its results before delivery, made from the files as a PACS would read them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pydicom
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from dicom_node.model import Result, ResultKind
from dicom_node.report.check_report import report_problems
from dicom_node.report.check_segmentation import Frame, count_voxels, decoded, segmentation_problems
from dicom_node.report.context import Analysed, volume_of
from engine.findings import Findings
from engine.reading.elements import DAMAGE, quiet
from engine.volume import Volume

UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
LONGEST_UID = 64
SAME_AS_SOURCE = ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber")
LEAD_ELSEWHERE = {"PredecessorDocumentsSequence", "ReferencedRequestSequence"}  # to what was never given to the node


@dataclass(frozen=True)
class Checked:
    """A result as read back."""

    result: Result
    dataset: Dataset


@dataclass(frozen=True)
class Truth:
    """What results are held against; `frames` are those of the SEG, decoded."""

    sources: Sequence[Dataset]
    companions: Sequence[Dataset]
    volume: Volume | None
    findings: Findings
    segmentation: Dataset | None
    frames: list[Frame]


def check_results(
    results: Sequence[Result],
    sources: Sequence[Dataset],
    analysed: Analysed,
    findings: Findings,
    companions: Sequence[Dataset] = (),
) -> list[str]:
    """What is wrong with written results, in words without patient data; empty where they may be sent.

    Identity and references are compared with the sources, voxels with the findings, volumes in reports with the voxels that
    the SEG holds.
    """
    volume = volume_of(analysed)
    try:
        with quiet():
            read = [Checked(r, pydicom.dcmread(r.path)) for r in results]
            segmentation = next((c.dataset for c in read if c.result.kind is ResultKind.SEG), None)
            frames = decoded(segmentation, volume) if segmentation is not None and volume is not None else []
            truth = Truth(sources, companions, volume, findings, segmentation, frames)
            problems = [f"{c.result.path.name}: {p}" for c in read for p in _problems(c, truth)]
    except DAMAGE as error:
        return [f"a result cannot be read back: {type(error).__name__}"]
    reported = any(r.kind is ResultKind.SR for r in results)
    return problems if reported else [*problems, "there is no report"]


def _problems(checked: Checked, truth: Truth) -> Iterator[str]:
    yield from _identity(checked, truth.sources)
    yield from _malformed_uids(checked.dataset)
    seg, volume = truth.segmentation, truth.volume
    known = {str(s.get("SOPInstanceUID")): str(s.get("SOPClassUID")) for s in (*truth.sources, *truth.companions)}
    if checked.result.kind is ResultKind.SEG and volume is not None:
        yield from segmentation_problems(checked.dataset, truth.frames, volume, truth.findings)
    if checked.result.kind is ResultKind.SR:
        counted = count_voxels(seg, truth.frames, volume) if seg is not None and volume is not None else {}
        yield from report_problems(checked.dataset, seg, counted, set(known))
    if seg is not None:
        known[str(seg.SOPInstanceUID)] = str(seg.SOPClassUID)
    yield from _dangling(checked.dataset, known)


def _identity(checked: Checked, sources: Sequence[Dataset]) -> Iterator[str]:
    dataset, result = checked.dataset, checked.result
    of_result = (result.sop_instance_uid, result.sop_class_uid, result.series_instance_uid)
    if of_result != (dataset.SOPInstanceUID, dataset.SOPClassUID, dataset.SeriesInstanceUID):
        yield "its UIDs are not those of the ledger"
    if dataset.file_meta.MediaStorageSOPInstanceUID != dataset.SOPInstanceUID:
        yield "its file meta information names another instance"
    if dataset.SeriesInstanceUID in {s.get("SeriesInstanceUID") for s in sources}:
        yield "it claims to be of the source series"
    for keyword in SAME_AS_SOURCE:
        if _plain(dataset.get(keyword)) not in {_plain(s.get(keyword)) for s in sources}:
            yield f"{keyword} is not the source's"
    if "FrameOfReferenceUID" in dataset:
        frames_of_reference = {str(s.get("FrameOfReferenceUID")) for s in sources}
        if str(dataset.FrameOfReferenceUID) not in frames_of_reference:
            yield "FrameOfReferenceUID is not the source's"


def _plain(value: object) -> str:
    """Decoded text; absent is empty, and padding counts for nothing."""
    if value is None:
        return ""
    if isinstance(value, PersonName):
        return "=".join(group.rstrip("^ ") for group in str(value).split("=")).rstrip("=")
    return str(value).strip()


def _malformed_uids(dataset: Dataset) -> Iterator[str]:
    """UIDs of the node's own making; those of the source are kept as they are."""
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "DeviceUID"):
        uid = str(dataset.get(keyword, ""))
        if len(uid) > LONGEST_UID or not UID.fullmatch(uid):
            yield f"{keyword} is not a UID"


def _dangling(dataset: Dataset, known: dict[str, str]) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ" and element.keyword not in LEAD_ELSEWHERE:
            for item in element.value:
                yield from _dangling(item, known)
    if "ReferencedSOPInstanceUID" in dataset:
        uid = str(dataset.ReferencedSOPInstanceUID)
        if uid not in known:
            yield f"it cites the instance {uid}, which is not there"
        elif known[uid] != str(dataset.get("ReferencedSOPClassUID")):
            yield f"it cites the instance {uid} under another SOP Class"
