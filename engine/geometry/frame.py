"""The planes of a series that share orientation, matrix, pixel spacing and frame of reference."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from engine.geometry.model import DroppedPlane, DropReason, SlicePlane
from engine.geometry.words import count

DIRECTION_TOLERANCE = 1e-3
"""Direction cosines that differ by less are the same: scanners jitter in the fourth digit."""
SPACING_TOLERANCE_MM = 1e-3
MINORITY = 0.1
"""Up to this share of slices may differ from the rest (a localizer in the series) and be left out."""
MAXIMUM_COORDINATE_MM = 1e6


class NoStackError(Exception):
    """The planes have no common frame; the message is the report's `problem`."""


@dataclass
class Selection:
    """What became of the planes on the way to one common frame."""

    planes: list[SlicePlane]
    dropped: list[DroppedPlane] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def keep(self, wanted: list[bool], reason: DropReason) -> None:
        out = [DroppedPlane(plane, reason) for plane, want in zip(self.planes, wanted, strict=True) if not want]
        if out:
            self.dropped += out
            self.remarks.append(f"{count(len(out), 'image')} of the series left out ({reason.value}).")
        self.planes = [plane for plane, want in zip(self.planes, wanted, strict=True) if want]

    def keep_majority(self, values: Float64[np.ndarray, "planes values"], tolerance: float, reason: DropReason) -> None:
        """Keeps the planes near the median of `values`, if they are nearly all; any large majority holds the median.

        Raises:
            NoStackError: the others are more than a small minority.
        """
        usual = np.abs(values - np.median(values, axis=0)).max(axis=1) <= tolerance
        if np.count_nonzero(~usual) > MINORITY * len(self.planes):
            groups = sorted(Counter(map(tuple, np.round(values, 2).tolist())).values(), reverse=True)
            sizes = ", ".join(map(str, groups[:4])) + (" …" if len(groups) > 4 else "")
            raise NoStackError(
                f"The series mixes images that do not form one stack ({reason.value}; groups of {sizes} images). "
                "Send each acquisition as a series of its own."
            )
        self.keep(usual.tolist(), reason)


def select_common_frame(selection: Selection) -> None:
    """Reduces the selection to planes of one orientation, matrix, pixel spacing and frame of reference.

    Raises:
        NoStackError: there is no such set.
    """
    if not selection.planes:
        raise NoStackError("The series holds no images.")
    if all(plane.localizer for plane in selection.planes):
        raise NoStackError("The series holds only localizer (scout) images; there is no volume to analyse.")
    selection.keep([not plane.localizer for plane in selection.planes], DropReason.LOCALIZER)
    _require_complete(selection.planes)
    _require_plausible(selection.planes)
    orientations = np.array([plane.orientation for plane in selection.planes], dtype=float)
    selection.keep_majority(orientations, DIRECTION_TOLERANCE, DropReason.ORIENTATION)
    grids = np.array([(*(plane.pixel_spacing or ()), plane.rows, plane.columns) for plane in selection.planes], dtype=float)
    selection.keep_majority(grids, SPACING_TOLERANCE_MM, DropReason.GRID)
    _, frames = np.unique([plane.frame_of_reference_uid for plane in selection.planes], return_inverse=True)
    selection.keep_majority(frames[:, None].astype(float), 0.5, DropReason.FRAME_OF_REFERENCE)


def _require_complete(planes: list[SlicePlane]) -> None:
    for attribute, name in (
        ("position", "Image Position (Patient)"),
        ("orientation", "Image Orientation (Patient)"),
        ("pixel_spacing", "Pixel Spacing"),
    ):
        lacking = sum(getattr(plane, attribute) is None for plane in planes)
        if lacking:
            raise NoStackError(
                f"{name} is missing or unreadable in {lacking} of {count(len(planes), 'image')}: their place in the patient "
                "is unknown. Send the original images of the scanner, not a derived or converted copy."
            )


def _require_plausible(planes: list[SlicePlane]) -> None:
    numbers = np.array([(*(p.position or ()), *(p.orientation or ()), *(p.pixel_spacing or ())) for p in planes], dtype=float)
    if not np.isfinite(numbers).all() or np.abs(numbers).max() > MAXIMUM_COORDINATE_MM or numbers[:, 9:].min() <= 0:
        raise NoStackError("Image position, orientation or Pixel Spacing holds impossible numbers; the headers are damaged.")
    row, column = numbers[:, 3:6], numbers[:, 6:9]
    lengths = np.linalg.norm(np.stack([row, column]), axis=2)
    if np.abs(lengths - 1).max() > 0.01 or np.abs((row * column).sum(axis=1)).max() > 0.01:
        raise NoStackError("Image Orientation (Patient) is not a pair of perpendicular unit vectors; the headers are damaged.")
