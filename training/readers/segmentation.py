"""Masks from DICOM Segmentation objects: bits, fractions or label maps, in any order of frames."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool
from pydicom.dataset import Dataset
from pydicom.uid import UID

from engine.volume import Volume
from training.errors import LabelError

LABEL_MAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")
OFF_GRID = 0.3
"""How far, in voxels, a mask's pixels may lie from the image's before they count as another grid."""

Mask = Bool[np.ndarray, "slices rows columns"]


def masks_of_segmentation(dataset: Dataset, volume: Volume) -> dict[str, Mask]:
    """The mask of each segment, by Segment Label; a label used twice gets its number.

    Frames may cover a part of the image, and rows, columns and slices may run the other way.

    Source: PS3.3 C.8.20.2 (Segmentation Image), C.7.6.16 (functional groups).

    Raises:
        LabelError: a frame lies on another grid than the image.
    """
    return {name: mask for name, mask, _ in numbered_segments(dataset, volume)}


def numbered_segments(dataset: Dataset, volume: Volume) -> Iterator[tuple[str, Mask, int]]:
    """Name, mask and Segment Number of each segment."""
    masks: dict[int, Mask] = {}
    for number, plane, affine in _frames(dataset):
        mask = masks.setdefault(number, np.zeros(volume.voxels.shape, bool))
        _place(plane, affine, volume, mask)
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in dataset.SegmentSequence}
    for number, mask in sorted(masks.items()):
        name = names.get(number, f"segment {number}")
        yield (name if list(names.values()).count(name) < 2 else f"{name} {number}"), mask, number


def _frames(dataset: Dataset) -> Iterator[tuple[int, Bool[np.ndarray, "rows columns"], np.ndarray]]:
    """Segment Number, mask, and (row, column, 1) -> LPS mm of each frame."""
    pixels = dataset.pixel_array
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for values, groups in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        affine = _affine(groups, shared)
        if dataset.SOPClassUID == LABEL_MAP_STORAGE:
            for number in np.unique(values[values > 0]):
                yield int(number), values == number, affine
            continue
        identification = _group("SegmentIdentificationSequence", groups, shared)
        yield int(identification.ReferencedSegmentNumber), _inside(values, dataset), affine


def _inside(values: np.ndarray, dataset: Dataset) -> Bool[np.ndarray, "rows columns"]:
    """A fraction of a half counts as inside."""
    if str(dataset.get("SegmentationType", "BINARY")) != "FRACTIONAL":
        return np.asarray(values > 0)
    return np.asarray(values >= int(dataset.MaximumFractionalValue) / 2)


def _affine(groups: Dataset, shared: Dataset) -> np.ndarray:
    position = _group("PlanePositionSequence", groups, shared).ImagePositionPatient
    orientation = np.array(
        [float(value) for value in _group("PlaneOrientationSequence", groups, shared).ImageOrientationPatient]
    )
    rows, columns = (float(value) for value in _group("PixelMeasuresSequence", groups, shared).PixelSpacing)
    return np.stack(
        [orientation[3:] * rows, orientation[:3] * columns, np.array([float(value) for value in position])], axis=-1
    )


def _group(keyword: str, groups: Dataset, shared: Dataset) -> Dataset:
    found = groups.get(keyword) or shared.get(keyword)
    if not found:
        raise LabelError(f"a segmentation's frame lacks {keyword}: write it again with a complete geometry")
    item: Dataset = found[0]
    return item


def _place(plane: Bool[np.ndarray, "rows columns"], affine: np.ndarray, volume: Volume, mask: Mask) -> None:
    """Set the voxels of the mask at which the pixels of a frame lie."""
    rows, columns = np.nonzero(plane)
    if not len(rows):
        return
    points = np.stack([rows, columns, np.ones(len(rows))], axis=-1) @ affine.T
    heights = points @ volume.normal
    index = np.abs(volume.along_normal_mm - heights[:, None]).argmin(axis=1)
    offset = points - volume.positions_mm[index]
    found_rows = offset @ volume.column_direction / volume.pixel_spacing_mm[0]
    found_columns = offset @ volume.row_direction / volume.pixel_spacing_mm[1]
    found = np.stack([index, found_rows, found_columns], axis=-1)
    nearest = np.rint(found).astype(int)
    height = np.abs(volume.along_normal_mm[index] - heights) / volume.slice_heights_mm[index]
    steps = np.linalg.norm(affine[:, :2], axis=0)
    same_step = np.allclose(steps, volume.pixel_spacing_mm, rtol=0.01) or np.allclose(
        steps[::-1], volume.pixel_spacing_mm, rtol=0.01
    )
    if not same_step or height.max() > OFF_GRID or np.abs(found - nearest).max() > OFF_GRID:
        raise LabelError("a segmentation lies on another grid than its image: resample it to the image, or choose its series")
    kept = ((nearest >= 0) & (nearest < volume.voxels.shape)).all(axis=1)
    mask[tuple(nearest[kept].T)] = True
