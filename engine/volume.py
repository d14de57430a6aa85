"""A stack of parallel slices in patient space."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int16

MAXIMUM_SHEAR_DEGREES = 0.5
MAXIMUM_STEP_SPREAD = 0.01


@dataclass(frozen=True)
class SliceReference:
    """The source of one slice: a SOP Instance, and within a multi-frame one the frame (1-based; None if single-frame)."""

    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """What a risk model may ask of the patient; never logged.

    Attributes:
        age_years: at the study; None where the header does not say.
        sex: "F", "M", or empty where the header does not say.
    """

    age_years: float | None = None
    sex: str = ""


@dataclass(frozen=True, slots=True)
class SequenceFacts:
    """How an MR series was weighted, as far as its header says.

    Attributes:
        echo_time_ms, repetition_time_ms, inversion_time_ms: None where the header does not say.
        contrast_agent: a contrast agent is named.
        words: technical words of descriptions and names ("FLAIR", "T2", "DWI"), in capitals; nothing else of them.
    """

    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    inversion_time_ms: float | None = None
    contrast_agent: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Volume:
    """Voxels of one series, slices in ascending order along the normal cross(row direction, column direction).

    Index order is (slice, row, column); points are patient LPS millimetres (x, y, z). The slices may be unevenly spaced or
    sheared (gantry tilt): `positions_mm` is the truth for each slice, `affine` the regular grid that fits it best.

    Attributes:
        voxels: rescaled values (HU for CT); padding is replaced by the modality's background (-1024 for CT).
        positions_mm: centre of the first voxel of each slice.
        row_direction: unit vector along which the column index grows (first triple of Image Orientation (Patient)).
        column_direction: unit vector along which the row index grows (second triple).
        pixel_spacing_mm: between rows, between columns (Pixel Spacing).
        slice_thickness_mm: what a lone slice stands for; None where the header does not say.
        slices: where each slice came from, in the same order.
        padded: true where the source held its padding value; None if nowhere.
        remarks: what a reader of a result must know of the geometry ("gantry tilt 12.0 degrees"), in words.
        value_scale: physical value (Bq/ml ...) = voxel * value_scale; 1 for CT and wherever the values fit int16 as they are.
        patient: age and sex, where the header says; None where nobody asked it.
        sequence: how an MR series was weighted; None for other modalities and where nobody asked the header.
    """

    voxels: Int16[np.ndarray, "slices rows columns"]
    positions_mm: Float64[np.ndarray, "slices 3"]
    row_direction: Float64[np.ndarray, "3"]
    column_direction: Float64[np.ndarray, "3"]
    pixel_spacing_mm: tuple[float, float]
    slice_thickness_mm: float | None
    modality: str
    slices: tuple[SliceReference, ...]
    padded: np.ndarray | None = None
    remarks: tuple[str, ...] = ()
    value_scale: float = 1.0
    patient: PatientFacts | None = None
    sequence: SequenceFacts | None = None

    @property
    def normal(self) -> Float64[np.ndarray, "3"]:
        return np.asarray(np.cross(self.row_direction, self.column_direction))

    @cached_property
    def along_normal_mm(self) -> Float64[np.ndarray, "slices"]:
        """Position of each slice projected on the normal, ascending."""
        return np.asarray(self.positions_mm @ self.normal)

    @cached_property
    def slice_heights_mm(self) -> Float64[np.ndarray, "slices"]:
        """What each slice stands for along the normal: half the way to each neighbour, the whole step at both ends."""
        if len(self.positions_mm) == 1:
            return np.array([self.slice_thickness_mm or 1.0])
        steps = np.diff(self.along_normal_mm)
        return np.asarray((np.concatenate([steps[:1], steps]) + np.concatenate([steps, steps[-1:]])) / 2)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """(slice, row, column): the median step along the normal and the Pixel Spacing."""
        step = float(np.median(np.diff(self.along_normal_mm))) if len(self.positions_mm) > 1 else self.slice_heights_mm[0]
        return (float(step), *self.pixel_spacing_mm)

    @cached_property
    def affine(self) -> Float64[np.ndarray, "4 4"]:
        """(slice, row, column, 1) -> LPS mm; for an uneven stack the regular grid from the first to the last slice."""
        affine = np.eye(4)
        count = len(self.positions_mm)
        span = self.positions_mm[-1] - self.positions_mm[0]
        affine[:3, 0] = span / (count - 1) if count > 1 else self.normal * self.slice_heights_mm[0]
        affine[:3, 1] = self.column_direction * self.pixel_spacing_mm[0]
        affine[:3, 2] = self.row_direction * self.pixel_spacing_mm[1]
        affine[:3, 3] = self.positions_mm[0]
        return affine

    @cached_property
    def shear_degrees(self) -> float:
        """The largest angle between a step from slice to slice and the normal (gantry tilt); 0 for one slice."""
        if len(self.positions_mm) == 1:
            return 0.0
        steps = np.diff(self.positions_mm, axis=0)
        cosines = steps @ self.normal / np.linalg.norm(steps, axis=1)
        return float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max())

    @cached_property
    def step_spread(self) -> float:
        """The largest deviation of a step from the median step, as a fraction of it; 0 for one or two slices."""
        steps = np.diff(self.along_normal_mm)
        return float(np.abs(steps / np.median(steps) - 1).max()) if len(steps) else 0.0

    @property
    def is_regular(self) -> bool:
        """Whether `affine` places every voxel: neither sheared nor unevenly spaced."""
        return self.shear_degrees <= MAXIMUM_SHEAR_DEGREES and self.step_spread <= MAXIMUM_STEP_SPREAD

    def volume_ml(self, mask: np.ndarray) -> float:
        """Volume of a boolean mask [slice, row, column], each slice counted with the height it stands for."""
        pixels = np.count_nonzero(mask.reshape(len(mask), -1), axis=1)
        return float(pixels @ self.slice_heights_mm * np.prod(self.pixel_spacing_mm) / 1000)
