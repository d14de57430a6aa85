"""The words of stack geometry: planes in, a report out."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float64

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SlicePlane:
    """Where one image (or one frame of a multi-frame) lies; None where the header does not say.

    Attributes:
        frame_number: 1-based within a multi-frame instance; None for a single-frame one.
        position: Image Position (Patient), LPS mm.
        orientation: Image Orientation (Patient): row direction, then column direction.
        pixel_spacing: mm between rows, between columns.
        frame_of_reference_uid: empty where absent.
        localizer: Image Type value 3 is LOCALIZER.
    """

    sop_instance_uid: str
    frame_number: int | None
    position: Vector | None
    orientation: tuple[float, float, float, float, float, float] | None
    pixel_spacing: tuple[float, float] | None
    rows: int
    columns: int
    frame_of_reference_uid: str = ""
    localizer: bool = False

    @property
    def sort_key(self) -> tuple[str, int]:
        return self.sop_instance_uid, self.frame_number or 0


class DropReason(Enum):
    """Why a plane is not part of the stack."""

    LOCALIZER = "localizer"
    ORIENTATION = "another orientation"
    GRID = "another matrix or pixel spacing"
    FRAME_OF_REFERENCE = "another frame of reference"
    DUPLICATE = "same position as another slice"


@dataclass(frozen=True, slots=True)
class DroppedPlane:
    plane: SlicePlane
    reason: DropReason


@dataclass(frozen=True, slots=True)
class Gap:
    """A step that is too long for its surroundings.

    Attributes:
        after_mm: position along the normal of the last slice before the gap.
        width_mm: from that slice to the next one.
        missing: how many slices would fill it.
        place: Image Position (Patient) of the slice before the gap.
    """

    after_mm: float
    width_mm: float
    missing: int
    place: Vector


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Planes at one position: the one kept (lowest SOP Instance UID, then frame) and the others.

    Whether their pixels are the same only the reader can tell; where they differ it refuses.
    """

    kept: SlicePlane
    others: tuple[SlicePlane, ...]


@dataclass(frozen=True)
class StackGeometry:
    """The common frame of the kept planes, ascending along the normal cross(row direction, column direction).

    Attributes:
        positions_mm: Image Position (Patient) of each kept plane.
        along_normal_mm: the same, projected on the normal.
        step_mm: median step along the normal; None for one slice.
        step_spread: largest deviation of a step from the median, as a fraction of it.
        shear_degrees: angle between the line through the positions and the normal (gantry tilt).
    """

    row_direction: Float64[np.ndarray, "3"]
    column_direction: Float64[np.ndarray, "3"]
    pixel_spacing: tuple[float, float]
    rows: int
    columns: int
    positions_mm: Float64[np.ndarray, "slices 3"]
    along_normal_mm: Float64[np.ndarray, "slices"]
    step_mm: float | None
    step_spread: float
    shear_degrees: float


@dataclass(frozen=True)
class StackReport:
    """What `examine` found.

    Attributes:
        kept: the slices in ascending order along the normal; empty if there is no common frame at all.
        missing_count: slices that the gaps would hold (an estimate; slices lost at either end leave no trace).
        remarks: what a reader of a result must know, in words.
        problem: why this is not a stack to analyse, for a physician or a PACS administrator; None if it is one.
        geometry: None where `kept` is empty.
    """

    kept: tuple[SlicePlane, ...] = ()
    dropped: tuple[DroppedPlane, ...] = ()
    missing_count: int = 0
    gaps: tuple[Gap, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    remarks: tuple[str, ...] = ()
    problem: str | None = None
    geometry: StackGeometry | None = None
