"""Stored values to int16: Hounsfield units for CT, values in proportion to the physical ones for MR and PET.

Source: DICOM PS3.3 C.11.1.1.2 (Modality LUT: output = slope * stored + intercept), C.7.5.1.1.2 (padding).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int16

from engine.reading.header import FrameHeader

BACKGROUND = {"CT": -1024, "MR": 0, "PT": 0}
OUTSIDE_FIELD_OF_VIEW_HU = -2000
"""Scanners fill the corners outside the reconstruction circle with -2000 to -3024 HU, declared as padding or not."""
HIGHEST_PADDING_HU = -900
"""A declared padding value above this is tissue: the declaration is wrong and is not followed."""
INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True)
class Scale:
    """How rescaled values become int16: voxel = round(rescaled value * factor); the factor is 1 for CT."""

    factor: float = 1.0


class Int16OverflowError(Exception):
    """A value does not fit into int16 at this scale."""


def first_scale(frames: Sequence[FrameHeader]) -> Scale:
    """1 where the values are integers (CT always); else the largest that lets every value that can be stored fit."""
    integral = all(frame.slope.is_integer() and frame.intercept.is_integer() for frame in frames)
    return Scale() if frames[0].modality == "CT" or integral else fitting_scale(frames)


def fitting_scale(frames: Sequence[FrameHeader]) -> Scale:
    bound = max(abs(frame.slope * end + frame.intercept) for frame in frames for end in frame.pixel_format.stored_range)
    return Scale(INT16.max / bound if bound else 1.0)


def to_int16(
    stored: np.ndarray, frame: FrameHeader, scale: Scale
) -> tuple[Int16[np.ndarray, "rows columns"], Bool[np.ndarray, "rows columns"]]:
    """Rescaled values and where they are padding; padding becomes the modality's background.

    Raises:
        Int16OverflowError: values of MR or PET exceed int16 at this scale (CT numbers are clipped).
    """
    slope, intercept = frame.slope * scale.factor, frame.intercept * scale.factor
    if slope.is_integer() and intercept.is_integer() and abs(slope) < 2**15:
        wide = stored.astype(np.int64 if stored.dtype.itemsize > 2 else np.int32)
        rescaled = np.asarray(wide * int(slope) + int(intercept))
    else:
        rescaled = np.asarray(np.rint(stored * slope + intercept))
    padded = _padded(stored, frame)
    if frame.modality == "CT":
        padded |= rescaled <= OUTSIDE_FIELD_OF_VIEW_HU
    rescaled[padded] = BACKGROUND[frame.modality]
    if frame.modality != "CT" and (rescaled.min() < INT16.min or rescaled.max() > INT16.max):
        raise Int16OverflowError
    return rescaled.clip(INT16.min, INT16.max).astype(np.int16), padded


def padding_is_plausible(frame: FrameHeader) -> bool:
    """Whether what is declared as padding may be padding; in CT no tissue may be."""
    if frame.padding is None or frame.modality != "CT":
        return True
    return max(end * frame.slope + frame.intercept for end in frame.padding) <= HIGHEST_PADDING_HU


def _padded(stored: np.ndarray, frame: FrameHeader) -> Bool[np.ndarray, "rows columns"]:
    if frame.padding is None or not padding_is_plausible(frame):
        return np.zeros(stored.shape, dtype=bool)
    low, high = frame.padding
    return (stored >= low) & (stored <= high)
