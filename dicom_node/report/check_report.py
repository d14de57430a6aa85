"""A written SR against the SEG and the sources that it speaks of."""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_node.report.concepts import CAD_SUMMARY, MILLILITRE, VOLUME

VOLUME_TOLERANCE = 0.005
LEAST_TOLERANCE_ML = 0.01
MEASUREMENT_GROUP, REFERENCED_SEGMENT, TRACKING_UID = "125007", "121191", "112040"


def report_problems(sr: Dataset, seg: Dataset | None, counted_ml: dict[int, float], sources: set[str]) -> Iterator[str]:
    """Missing evidence, segments that are not there or not meant, volumes that the voxels do not have.

    Args:
        sr: the report as read.
        seg: the SEG of the same job, if any.
        counted_ml: volume of each segment of the SEG.
        sources: SOP Instance UIDs of the source series.
    """
    evidence = set(_evidence(sr))
    if not sources <= evidence:
        yield f"{len(sources - evidence)} source instances are not in its evidence"
    if seg is not None and str(seg.SOPInstanceUID) not in evidence:
        yield "the SEG is not in its evidence"
    items = list(_content(sr))
    if not any(_code(i) == CAD_SUMMARY.value for i in items):
        yield "it does not say how the analysis ended"
    cited: set[int] = set()
    for group in (i for i in items if _code(i) == MEASUREMENT_GROUP):
        numbers = _segments(group)
        cited |= set(numbers)
        yield from _group_problems(group, numbers, seg, counted_ml)
    if seg is not None and cited != set(counted_ml):
        yield f"it measures the segments {sorted(cited)}, the SEG has {sorted(counted_ml)}"


def _group_problems(group: Dataset, numbers: list[int], seg: Dataset | None, counted_ml: dict[int, float]) -> Iterator[str]:
    tracked = next((str(i.UID) for i in _content(group) if _code(i) == TRACKING_UID), "")
    if not tracked:
        yield "a measurement group has no tracking UID"
    for number in numbers:
        segments = [s for s in (seg.SegmentSequence if seg is not None else []) if int(s.SegmentNumber) == number]
        if not segments:
            yield f"it cites segment {number}, which is not there"
        elif str(segments[0].get("TrackingUID")) != tracked:
            yield f"it cites segment {number} under the tracking UID of another"
        yield from _volume_problems(group, number, counted_ml)


def _volume_problems(group: Dataset, number: int, counted_ml: dict[int, float]) -> Iterator[str]:
    measured = [m for i in _content(group) if _code(i) == VOLUME.value for m in i.get("MeasuredValueSequence") or []]
    if not measured:
        yield f"it gives no volume of segment {number}"
    for value in measured:
        unit = str(value.MeasurementUnitsCodeSequence[0].CodeValue)
        if unit != MILLILITRE.value:
            yield f"the volume of segment {number} is given in {unit}"
            continue
        difference = abs(float(value.NumericValue) - counted_ml.get(number, 0.0))
        if difference > max(VOLUME_TOLERANCE * counted_ml.get(number, 0.0), LEAST_TOLERANCE_ML):
            yield f"the volume of segment {number} is {difference:.3f} ml off its voxels"


def _evidence(sr: Dataset) -> Iterator[str]:
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in sr.get(keyword) or []:
            for series in study.ReferencedSeriesSequence:
                yield from (str(i.ReferencedSOPInstanceUID) for i in series.ReferencedSOPSequence)


def _content(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        yield child
        yield from _content(child)


def _code(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def _segments(group: Dataset) -> list[int]:
    found = [i.ReferencedSOPSequence[0] for i in _content(group) if _code(i) == REFERENCED_SEGMENT]
    return [int(r.ReferencedSegmentNumber) for r in found]
