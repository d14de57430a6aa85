"""Findings of measurement reports (SR, TID 1500): outlines on images or in space, or segments of a SEG, with their numbers.

Source: PS3.16 TID 1500, TID 1410, TID 1411; PS3.3 C.18.6 (SCOORD), C.18.9 (SCOORD3D).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from pydicom.dataset import Dataset

from engine.volume import Volume
from training.errors import LabelError
from training.readers.outlines import fill, mask_of_outlines
from training.readers.segmentation import numbered_segments

GROUP, FINDING, REFERENCED_SEGMENT = "125007", "121071", "121191"
TRACKING, TRACKING_UID = "112039", "112040"
Mask = Bool[np.ndarray, "slices rows columns"]


@dataclass(frozen=True)
class ReportedFinding:
    """One tracked thing: its mask and its numbers by the meaning of their names."""

    name: str
    mask: Mask
    numbers: Mapping[str, float]


def findings_of_report(report: Dataset, volume: Volume, segmentations: Sequence[Dataset] = ()) -> tuple[ReportedFinding, ...]:
    """What the measurement groups show; groups with one tracking UID are about one thing, and things of one name get numbers.

    A thing that has segments and outlines is what its segments say: an outline is often drawn on one slice only. A group that
    shows no place is left out.

    Args:
        report: an SR of TID 1500.
        volume: the images that it is about.
        segmentations: SEG that it may refer to.

    Raises:
        LabelError: a group refers to images or segments that are not here.
    """
    tracked: dict[str, list[Dataset]] = {}
    for number, group in enumerate(_groups(report)):
        tracked.setdefault(_tracking_uid(group) or f"group {number}", []).append(group)
    found: dict[str, ReportedFinding] = {}
    for groups in tracked.values():
        mask = _mask(groups, volume, segmentations)
        if mask is not None:
            name = _name(groups[0])
            name = name if name not in found else f"{name} {len(found) + 1}"
            found[name] = ReportedFinding(name, mask, dict(pair for group in groups for pair in _numbers(group)))
    return tuple(found.values())


def _groups(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        if _code(child) == GROUP:
            yield child
        else:
            yield from _groups(child)


def _mask(groups: Sequence[Dataset], volume: Volume, segmentations: Sequence[Dataset]) -> Mask | None:
    items = [item for group in groups for item in group.get("ContentSequence", ())]
    segments = [item for item in items if item.ValueType == "IMAGE" and _code(item) == REFERENCED_SEGMENT]
    if segments:
        masks = [_segment(item.ReferencedSOPSequence[0], volume, segmentations) for item in segments]
    else:
        masks = [mask for item in items if (mask := _outlined(item, volume)) is not None]
    return np.asarray(np.logical_or.reduce(masks)) if masks else None


def _outlined(item: Dataset, volume: Volume) -> Mask | None:
    kind, graphic = str(item.ValueType), str(item.get("GraphicType", ""))
    if kind == "SCOORD" and graphic == "POLYLINE":
        return _outline(item, volume)
    if kind == "SCOORD3D" and graphic in ("POLYGON", "POLYLINE"):
        points = np.array(item.GraphicData, float).reshape(-1, 3)
        return mask_of_outlines([points], volume, "an outline of the report")
    return None


def _segment(reference: Dataset, volume: Volume, segmentations: Sequence[Dataset]) -> Mask:
    uid = str(reference.ReferencedSOPInstanceUID)
    numbers = np.atleast_1d(reference.get("ReferencedSegmentNumber", 1))
    for segmentation in segmentations:
        if str(segmentation.SOPInstanceUID) == uid:
            found = {number: mask for _, mask, number in numbered_segments(segmentation, volume)}
            nothing = np.zeros(volume.voxels.shape, bool)
            return np.asarray(np.logical_or.reduce([found.get(int(number), nothing) for number in numbers]))
    raise LabelError("the report refers to a segmentation that is not in the folder: put the SEG beside it")


def _outline(item: Dataset, volume: Volume) -> Mask:
    """Coordinates count from the upper left corner of the first pixel; its centre is (0.5, 0.5)."""
    uid, frame = _source(item)
    slices, rows, columns = volume.voxels.shape
    mask = np.zeros((slices, rows, columns), bool)
    for index, reference in enumerate(volume.slices):
        if reference.sop_instance_uid == uid and frame in (None, reference.frame_number or frame):
            columns_rows = np.array(item.GraphicData, float).reshape(-1, 2) - 0.5
            mask[index] = fill(columns_rows[:, ::-1], rows, columns)
            return mask
    raise LabelError("the report outlines an image that is not in the series: put the whole series into the folder")


def _source(item: Dataset) -> tuple[str, int | None]:
    for child in item.get("ContentSequence", ()):
        if "ReferencedSOPSequence" in child:
            reference = child.ReferencedSOPSequence[0]
            frame = reference.get("ReferencedFrameNumber")
            return str(reference.ReferencedSOPInstanceUID), None if frame is None else int(np.atleast_1d(frame)[0])
    raise LabelError("an outline of the report names no image")


def _tracking_uid(group: Dataset) -> str:
    return next((str(item.UID) for item in group.get("ContentSequence", ()) if _code(item) == TRACKING_UID), "")


def _name(group: Dataset) -> str:
    """The tracking identifier, else the finding."""
    by_code = {_code(child): child for child in group.get("ContentSequence", ())}
    if TRACKING in by_code:
        return str(by_code[TRACKING].TextValue)
    if FINDING in by_code:
        return str(by_code[FINDING].ConceptCodeSequence[0].CodeMeaning)
    return "finding"


def _numbers(group: Dataset) -> Iterator[tuple[str, float]]:
    for child in group.get("ContentSequence", ()):
        if str(child.ValueType) == "NUM" and child.get("MeasuredValueSequence"):
            yield str(child.ConceptNameCodeSequence[0].CodeMeaning), float(child.MeasuredValueSequence[0].NumericValue)


def _code(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""
