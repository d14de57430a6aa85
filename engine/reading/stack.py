"""Headers first, then slice after slice into one volume: memory stays near the volume itself."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from engine.api import Refusal
from engine.geometry import StackReport, examine
from engine.reading.elements import quiet
from engine.reading.header import HEADER_KEYWORDS, FrameHeader, NotASlice, frames_of
from engine.reading.pixels import stored_frames
from engine.reading.rescale import Int16OverflowError, Scale, first_scale, fitting_scale, padding_is_plausible, to_int16
from engine.reading.source import Source, dataset_source, file_source, require_bytes
from engine.volume import SliceReference, Volume

MAXIMUM_VOXELS = 2**31
MINORITY = 0.1


@dataclass(frozen=True, slots=True)
class _Slice:
    frame: FrameHeader
    source: Source


def read_volume(datasets: Sequence[Dataset]) -> Volume:
    """A Volume of complete datasets, given in any order.

    Raises:
        Refusal: they are not one stack of slices of CT, MR or PET; the reason is for a physician.
    """
    with quiet():
        return _read([dataset_source(dataset) for dataset in datasets])


def read_series(paths: Sequence[Path]) -> Volume:
    """A Volume of the files of one series, given in any order; one file's pixels at a time are in memory.

    Raises:
        Refusal: as for `read_volume`.
        OSError: a file cannot be opened or read.
    """
    with quiet():
        return _read([file_source(path, HEADER_KEYWORDS) for path in paths])


def _read(sources: Sequence[Source]) -> Volume:
    slices, remarks = _slices(sources)
    found = _by_key(slices)
    report = examine([each.frame.plane for each in found.values()])
    if report.problem is not None or report.geometry is None:
        raise Refusal(report.problem or "The images do not form a stack of slices.")
    kept = [found[plane.sort_key] for plane in report.kept]
    _require_bounds(kept)
    _require_equal_duplicates(report, found)
    voxels, padded, scale = _voxels(kept)
    return Volume(
        voxels=voxels,
        positions_mm=report.geometry.positions_mm,
        row_direction=report.geometry.row_direction,
        column_direction=report.geometry.column_direction,
        pixel_spacing_mm=report.geometry.pixel_spacing,
        slice_thickness_mm=next((each.frame.slice_thickness_mm for each in kept if each.frame.slice_thickness_mm), None),
        modality=kept[0].frame.modality,
        slices=tuple(SliceReference(plane.sop_instance_uid, plane.frame_number) for plane in report.kept),
        padded=padded,
        remarks=(*remarks, *report.remarks, *_pixel_remarks(kept, scale)),
        value_scale=1 / scale.factor,
        patient=kept[0].frame.patient,
        sequence=kept[0].frame.sequence,
    )


def _slices(sources: Sequence[Source]) -> tuple[list[_Slice], list[str]]:
    """Every frame of every instance; a few instances that are no slices (a captured screen) are left out.

    A damaged slice is never left out: the result would lack a part of the patient.
    """
    slices: list[_Slice] = []
    refused: list[NotASlice] = []
    for source in sources:
        try:
            header = source.header()
            frames = frames_of(header)
            require_bytes(header, frames[0].pixel_format, source)
        except NotASlice as refusal:
            refused.append(refusal)
        else:
            slices += [_Slice(frame, source) for frame in frames]
    if len(refused) > MINORITY * len(sources):
        raise min(refused, key=str)
    if len({each.frame.modality for each in slices}) > 1:
        raise Refusal("The series mixes CT, MR or PET images. Send each as a series of its own.")
    return slices, [f"{len(refused)} of {len(sources)} instances left out: {min(map(str, refused))}"] if refused else []


def _by_key(slices: Sequence[_Slice]) -> dict[tuple[str, int], _Slice]:
    """Each SOP Instance UID once, however often the same instance is given."""
    found: dict[tuple[str, int], _Slice] = {}
    for each in slices:
        if found.setdefault(each.frame.plane.sort_key, each).frame != each.frame:
            raise Refusal("Two different images carry the same SOP Instance UID; the series is damaged at its source.")
    return found


def _require_bounds(kept: Sequence[_Slice]) -> None:
    pixel_format = kept[0].frame.pixel_format
    voxels = len(kept) * pixel_format.rows * pixel_format.columns
    if voxels > MAXIMUM_VOXELS:
        raise Refusal(f"The series holds {voxels:.2g} voxels; up to {MAXIMUM_VOXELS:.2g} are read.")


def _require_equal_duplicates(report: StackReport, found: dict[tuple[str, int], _Slice]) -> None:
    for duplicate in report.duplicates:
        group = [found[plane.sort_key] for plane in (duplicate.kept, *duplicate.others)]
        first, *others = (each.frame.slope * values + each.frame.intercept for each, values in _stored(group))
        if any(not np.array_equal(first, other) for other in others):
            place = "({:.1f}, {:.1f}, {:.1f})".format(*(duplicate.kept.position or ()))
            raise Refusal(
                f"Different images lie at the same position {place} mm: the series mixes phases, echoes, time points or "
                "reconstructions. Send each as a series of its own."
            )


def _stored(slices: Sequence[_Slice]) -> Iterator[tuple[_Slice, np.ndarray]]:
    """The slices with their stored values, each instance opened once."""
    by_instance: defaultdict[str, list[_Slice]] = defaultdict(list)
    for each in slices:
        by_instance[each.frame.plane.sop_instance_uid].append(each)
    for group in by_instance.values():
        by_index = {each.frame.index: each for each in group}
        for index, values in stored_frames(group[0].source.whole(), group[0].frame.pixel_format, list(by_index)):
            yield by_index[index], values


def _voxels(kept: Sequence[_Slice]) -> tuple[np.ndarray, np.ndarray | None, Scale]:
    frames = [each.frame for each in kept]
    scale = first_scale(frames)
    try:
        return (*_fill(kept, scale), scale)
    except Int16OverflowError:
        scale = fitting_scale(frames)
        return (*_fill(kept, scale), scale)


def _fill(kept: Sequence[_Slice], scale: Scale) -> tuple[np.ndarray, np.ndarray | None]:
    shape = (len(kept), kept[0].frame.pixel_format.rows, kept[0].frame.pixel_format.columns)
    voxels = np.empty(shape, dtype=np.int16)
    padded: np.ndarray | None = None
    places = {each.frame.plane.sort_key: place for place, each in enumerate(kept)}
    for each, stored in _stored(kept):
        place = places[each.frame.plane.sort_key]
        voxels[place], outside = to_int16(stored, each.frame, scale)
        if padded is None and outside.any():
            padded = np.zeros(shape, dtype=bool)
        if padded is not None:
            padded[place] = outside
    return voxels, padded


def _pixel_remarks(kept: Sequence[_Slice], scale: Scale) -> Iterator[str]:
    if any(each.frame.lossy for each in kept):
        yield "The images were compressed with loss."
    if not all(padding_is_plausible(each.frame) for each in kept):
        yield "Pixel Padding Value names a value of tissue; it was not followed."
    if scale.factor != 1:
        yield f"Pixel values were scaled by {scale.factor:.6g} to fit 16 bits."
