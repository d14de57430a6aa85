"""What the header says of each image or frame, without touching pixels.

Source: DICOM PS3.3 C.7.6.2 (Image Plane), C.7.6.3 (Image Pixel), C.7.6.16 (Multi-frame Functional Groups), C.8.2.1 (CT Image).
"""

from dataclasses import dataclass
from typing import cast

import pydicom.uid as uids
from pydicom.dataset import Dataset

from engine.api import Refusal
from engine.geometry import SlicePlane
from engine.reading.elements import integer, number, numbers, quiet, refusing, text, values
from engine.reading.patient import KEYWORDS, patient_of
from engine.reading.sequence import KEYWORDS as SEQUENCE_KEYWORDS
from engine.reading.sequence import sequence_of
from engine.volume import PatientFacts, SequenceFacts

MODALITIES = {
    uids.CTImageStorage: "CT",
    uids.EnhancedCTImageStorage: "CT",
    uids.LegacyConvertedEnhancedCTImageStorage: "CT",
    uids.MRImageStorage: "MR",
    uids.EnhancedMRImageStorage: "MR",
    uids.LegacyConvertedEnhancedMRImageStorage: "MR",
    uids.PositronEmissionTomographyImageStorage: "PT",
    uids.EnhancedPETImageStorage: "PT",
    uids.LegacyConvertedEnhancedPETImageStorage: "PT",
}
SINGLE_FRAME = (uids.CTImageStorage, uids.MRImageStorage, uids.PositronEmissionTomographyImageStorage)
MAXIMUM_MATRIX = 8192
"""Rows and columns of the largest image taken for real; files of a few kilobytes claim 65,535."""
HOUNSFIELD = ("", "HU", "HU_MOD", "US")
HEADER_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "ImageType", "FrameOfReferenceUID", "NumberOfFrames", "SliceThickness"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "LossyImageCompression"),
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *KEYWORDS,
    *SEQUENCE_KEYWORDS,
)


class NotASlice(Refusal):
    """The instance is whole but no slice: a captured screen, a report, a segmentation."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How one instance stores its pixels (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.bits_allocated // 8

    @property
    def stored_range(self) -> tuple[int, int]:
        if self.signed:
            return -(2 ** (self.bits_stored - 1)), 2 ** (self.bits_stored - 1) - 1
        return 0, 2**self.bits_stored - 1


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """One slice to be: its plane, where its pixels are, and what they mean.

    Attributes:
        index: 0-based frame within the instance.
        padding: lowest and highest stored value that stand for "no measurement"; None if there are none.
    """

    plane: SlicePlane
    modality: str
    index: int
    pixel_format: PixelFormat
    slope: float
    intercept: float
    padding: tuple[int, int] | None
    slice_thickness_mm: float | None
    lossy: bool
    patient: PatientFacts
    sequence: SequenceFacts | None


def planes_of(dataset: Dataset) -> tuple[SlicePlane, ...]:
    """The image planes of an instance, from its header alone.

    Raises:
        Refusal: the instance holds no slices of CT, MR or PET.
    """
    with quiet():
        return tuple(frame.plane for frame in frames_of(dataset))


def frames_of(dataset: Dataset) -> tuple[FrameHeader, ...]:
    """Everything the reader needs to know of an instance before it decodes a pixel.

    Raises:
        Refusal: the instance holds no slices of CT, MR or PET, or claims what cannot be.
    """
    with refusing("An image's header cannot be read"):
        sop_class_uid = text(dataset, "SOPClassUID")
        modality = _modality(dataset, sop_class_uid)
        if not text(dataset, "SOPInstanceUID"):
            raise Refusal("An image has no SOP Instance UID; results could not refer to it.")
        pixel_format = pixel_format_of(dataset)
        if sop_class_uid in SINGLE_FRAME:
            if pixel_format.frames != 1:
                raise Refusal("A single-frame image claims several frames; its header is damaged.")
            return (_frame(dataset, [dataset], modality, pixel_format, None),)
        return _multi_frame(dataset, modality, pixel_format)


def _modality(dataset: Dataset, sop_class_uid: str) -> str:
    modality = MODALITIES.get(uids.UID(sop_class_uid)) if sop_class_uid else None
    if modality is None:
        name = uids.UID(sop_class_uid).name
        known = name if name != sop_class_uid else "an unknown kind of object"
        raise NotASlice(f"Not a CT, MR or PET image but {known}; only original slices can be analysed.")
    if integer(dataset, "SamplesPerPixel", 1) != 1 or text(dataset, "PhotometricInterpretation") not in (
        "MONOCHROME1",
        "MONOCHROME2",
    ):
        raise NotASlice("The image is in colour or not greyscale; only original greyscale slices can be analysed.")
    return modality


def pixel_format_of(dataset: Dataset) -> PixelFormat:
    """How an instance says that it stores its pixels.

    Raises:
        Refusal: it claims what cannot be, or cannot be read.
    """
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    allocated, stored = integer(dataset, "BitsAllocated"), integer(dataset, "BitsStored")
    representation = integer(dataset, "PixelRepresentation", -1)
    if not (0 < rows <= MAXIMUM_MATRIX and 0 < columns <= MAXIMUM_MATRIX):
        raise Refusal(f"The image claims {rows} rows and {columns} columns; up to {MAXIMUM_MATRIX} are read.")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated or representation not in (0, 1):
        raise Refusal(
            f"The pixels are stored in a way that cannot be read (Bits Allocated {allocated}, Bits Stored {stored}, Pixel "
            f"Representation {representation})."
        )
    if integer(dataset, "HighBit", stored - 1) != stored - 1:
        raise Refusal("High Bit does not fit Bits Stored: which bits hold the image is unclear.")
    frames = integer(dataset, "NumberOfFrames", 1)
    if frames < 1:
        raise Refusal(f"The image claims {frames} frames; its header is damaged.")
    return PixelFormat(rows, columns, frames, allocated, stored, representation == 1)


def _multi_frame(dataset: Dataset, modality: str, pixel_format: PixelFormat) -> tuple[FrameHeader, ...]:
    shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or []), Dataset())
    items = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if len(items) != pixel_format.frames:
        raise Refusal(f"The multi-frame image claims {pixel_format.frames} frames but describes {len(items)}; it is damaged.")
    return tuple(
        _frame(dataset, [item, shared, dataset], modality, pixel_format, number)
        for number, item in enumerate(cast("list[Dataset]", items), start=1)
    )


def _group(places: list[Dataset], macro: str, keyword: str) -> Dataset:
    """Where `keyword` stands: in the macro of the frame, else of all frames, else in the instance itself; else nowhere."""
    for place in places:
        for item in place.get(macro) or []:
            if keyword in item:
                return cast("Dataset", item)
    return places[-1] if keyword in places[-1] else Dataset()


def _frame(
    instance: Dataset, places: list[Dataset], modality: str, pixel_format: PixelFormat, frame_number: int | None
) -> FrameHeader:
    position = numbers(_group(places, "PlanePositionSequence", "ImagePositionPatient"), "ImagePositionPatient", 3)
    orientation = numbers(_group(places, "PlaneOrientationSequence", "ImageOrientationPatient"), "ImageOrientationPatient", 6)
    spacing = numbers(_group(places, "PixelMeasuresSequence", "PixelSpacing"), "PixelSpacing", 2)
    slope, intercept = _rescale(_group(places, "PixelValueTransformationSequence", "RescaleIntercept"), modality)
    plane = SlicePlane(
        sop_instance_uid=text(instance, "SOPInstanceUID"),
        frame_number=frame_number,
        position=cast("tuple[float, float, float] | None", position),
        orientation=cast("tuple[float, float, float, float, float, float] | None", orientation),
        pixel_spacing=cast("tuple[float, float] | None", spacing),
        rows=pixel_format.rows,
        columns=pixel_format.columns,
        frame_of_reference_uid=text(instance, "FrameOfReferenceUID"),
        localizer=_is_localizer(places),
    )
    return FrameHeader(
        plane=plane,
        modality=modality,
        index=(frame_number or 1) - 1,
        pixel_format=pixel_format,
        slope=slope,
        intercept=intercept,
        padding=_padding(instance, pixel_format),
        slice_thickness_mm=number(_group(places, "PixelMeasuresSequence", "SliceThickness"), "SliceThickness"),
        lossy=text(instance, "LossyImageCompression") == "01",
        patient=patient_of(instance),
        sequence=sequence_of(places) if modality == "MR" else None,
    )


def _is_localizer(places: list[Dataset]) -> bool:
    frame_types = [
        values(_group(places, macro, "FrameType"), "FrameType")
        for macro in ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence")
    ]
    return any("LOCALIZER" in kind[2:] for kind in (values(places[-1], "ImageType"), *frame_types))


def _rescale(transformation: Dataset, modality: str) -> tuple[float, float]:
    slope, intercept = number(transformation, "RescaleSlope"), number(transformation, "RescaleIntercept")
    if modality == "CT":
        kind = text(transformation, "RescaleType").upper()
        if intercept is None:
            raise Refusal("Rescale Intercept is missing: the CT numbers of the image are unknown. Send the original images.")
        if kind not in HOUNSFIELD:
            raise Refusal(f"The CT image is not in Hounsfield units (Rescale Type {kind[:16]}).")
    if slope == 0 or abs(slope or 1) > 1e9 or abs(intercept or 0) > 1e9:
        raise Refusal("Rescale Slope or Intercept holds an impossible number; the header is damaged.")
    return 1.0 if slope is None else slope, intercept or 0.0


def _padding(instance: Dataset, pixel_format: PixelFormat) -> tuple[int, int] | None:
    """Stored values from Pixel Padding Value to Pixel Padding Range Limit; both may be written with the wrong sign.

    Source: PS3.3 C.7.5.1.1.2.
    """
    if number(instance, "PixelPaddingValue") is None:
        return None
    value = integer(instance, "PixelPaddingValue")
    ends = [_with_sign(end, pixel_format) for end in (value, integer(instance, "PixelPaddingRangeLimit", value))]
    return min(ends), max(ends)


def _with_sign(value: int, pixel_format: PixelFormat) -> int:
    span = 1 << pixel_format.bits_allocated
    if pixel_format.signed and value >= span // 2:
        return value - span
    return value + span if not pixel_format.signed and value < 0 else value
