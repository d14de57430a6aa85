"""A written SEG, decoded and laid on the source grid again."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from engine.findings import Findings
from engine.volume import Volume

TOLERANCE_MM = 0.01
COSINE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Frame:
    """A frame with the volume's slice that it cites (None if none) and the one that it lies on (None if none)."""

    number: int
    segment_number: int
    cited: int | None
    lies_on: int | None
    mask: np.ndarray


def segmentation_problems(seg: Dataset, frames: list[Frame], volume: Volume, findings: Findings) -> Iterator[str]:
    """Frames that lie or point elsewhere than their voxels, segments that are not the findings'."""
    yield from _grid_problems(seg, volume)
    numbers = [int(s.SegmentNumber) for s in seg.SegmentSequence]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"its segments are numbered {numbers}"
    if not seg.get("PixelData"):
        yield "it has no pixel data"
        return
    yield from _frame_problems(frames, numbers)
    yield from _voxel_problems(seg, frames, findings)


def count_voxels(seg: Dataset, frames: list[Frame], volume: Volume) -> dict[int, float]:
    """Volume in ml of each segment, from the frames as they lie in the file."""
    pixel_mm2 = float(np.prod(volume.pixel_spacing_mm))
    counted = {int(s.SegmentNumber): 0.0 for s in seg.SegmentSequence}
    for frame in frames:
        if frame.lies_on is not None and frame.segment_number in counted:
            height_mm = float(volume.slice_heights_mm[frame.lies_on])
            counted[frame.segment_number] += np.count_nonzero(frame.mask) * height_mm * pixel_mm2 / 1000
    return counted


def _grid_problems(seg: Dataset, volume: Volume) -> Iterator[str]:
    shared = seg.SharedFunctionalGroupsSequence[0]
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    directions = np.concatenate([volume.row_direction, volume.column_direction])
    if (int(seg.Rows), int(seg.Columns)) != volume.voxels.shape[1:]:
        yield "it has another matrix than the source"
    if np.abs(spacing - volume.pixel_spacing_mm).max() > COSINE_TOLERANCE:
        yield "it has another pixel spacing than the source"
    if np.abs(orientation - directions).max() > COSINE_TOLERANCE:
        yield "it has another orientation than the source"


def decoded(seg: Dataset, volume: Volume) -> list[Frame]:
    """The frames of a SEG; none where it has no pixel data."""
    return list(_frames(seg, volume)) if seg.get("PixelData") else []


def _frames(seg: Dataset, volume: Volume) -> Iterator[Frame]:
    masks = pixel_array(seg).reshape(-1, int(seg.Rows), int(seg.Columns))
    slices = {(s.sop_instance_uid, s.frame_number): k for k, s in enumerate(volume.slices)}
    for number, (item, mask) in enumerate(zip(seg.PerFrameFunctionalGroupsSequence, masks, strict=True), 1):
        image = item.DerivationImageSequence[0].SourceImageSequence[0]
        cited = image.get("ReferencedFrameNumber")
        key = (str(image.ReferencedSOPInstanceUID), None if cited is None else int(cited))
        yield Frame(
            number,
            int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
            slices.get(key),
            _slice_at(np.array(item.PlanePositionSequence[0].ImagePositionPatient, float), volume),
            mask.view(bool),  # decoded bits are bytes of 0 and 1
        )


def _slice_at(position: np.ndarray, volume: Volume) -> int | None:
    distances = np.linalg.norm(volume.positions_mm - position, axis=1)
    nearest = int(distances.argmin())
    return nearest if distances[nearest] <= TOLERANCE_MM else None


def _frame_problems(frames: list[Frame], numbers: list[int]) -> Iterator[str]:
    for frame in frames:
        if frame.segment_number not in numbers:
            yield f"frame {frame.number} belongs to segment {frame.segment_number}, which is not there"
        if frame.cited is None:
            yield f"frame {frame.number} cites no slice of the volume"
        if frame.lies_on is None or frame.lies_on != frame.cited:
            yield f"frame {frame.number} does not lie on the slice that it cites"
        if not frame.mask.any():
            yield f"frame {frame.number} is empty"


def _voxel_problems(seg: Dataset, frames: list[Frame], findings: Findings) -> Iterator[str]:
    """Each segment by its label against the finding of that label, slice by slice."""
    labels = {int(s.SegmentNumber): str(s.SegmentLabel) for s in seg.SegmentSequence}
    expected = {s.label: s.mask for s in findings.segments if s.mask.any()}
    if sorted(labels.values()) != sorted(expected):
        yield "its segments are not those that were found"
        return
    found = {(labels.get(f.segment_number), f.lies_on): f.mask for f in frames}
    if len(found) != len(frames):
        yield "two frames show the same segment on the same slice"
    for label, mask in expected.items():
        for k, layer in enumerate(mask):
            written = found.get((label, k))
            if not np.array_equal(layer, written if written is not None else np.zeros_like(layer)):
                yield f"segment {label!r} on slice {k + 1} is not what was found"
