"""Projection images (CR, DX, MG ...) as a display would show them.

Source: DICOM PS3.3 C.11.1 (Modality LUT), C.11.2 (VOI LUT), C.7.6.3.1.2 (Photometric Interpretation), C.8.11.1 (DX Series).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pydicom.uid as uids
from jaxtyping import Float32
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut

from engine.api import Refusal
from engine.projection import ProjectionImage
from engine.reading.elements import integer, number, numbers, quiet, refusing, text
from engine.reading.header import NotASlice, PixelFormat, pixel_format_of
from engine.reading.pixels import stored_frames
from engine.reading.source import Source, file_source, require_bytes
from engine.volume import SliceReference

MAXIMUM_PIXELS = 2**28
"""Of all images of a series together: 1 GB as they are handed to an engine."""
MODALITIES = {
    uids.ComputedRadiographyImageStorage: "CR",
    uids.DigitalXRayImageStorageForPresentation: "DX",
    uids.DigitalMammographyXRayImageStorageForPresentation: "MG",
    uids.DigitalIntraOralXRayImageStorageForPresentation: "IO",
}
RAW = (
    uids.DigitalXRayImageStorageForProcessing,
    uids.DigitalMammographyXRayImageStorageForProcessing,
    uids.DigitalIntraOralXRayImageStorageForProcessing,
)
VIEWS = {"399162004": "CC", "R-10242": "CC", "399368009": "MLO", "R-10226": "MLO"}
"""View Position where only View Code Sequence says it. Source: PS3.16 CID 4014."""
PERCENTILES = (1, 99)
HEADER = (
    *("SOPClassUID", "SOPInstanceUID", "Modality", "PresentationIntentType", "NumberOfFrames", "InstanceNumber"),
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation",),
)


def read_images(paths: Sequence[Path]) -> tuple[ProjectionImage, ...]:
    """The projection images of one series, by Instance Number; frames of a multi-frame one in order.

    Instances that are no projection images, or not for presentation, are left out beside others that are.

    Raises:
        Refusal: there is none, or one is damaged; the reason is for a physician.
        OSError: a file cannot be opened or read.
    """
    with quiet():
        accepted = _accepted([file_source(path, HEADER) for path in paths])
        return tuple(image for header, source in accepted for image in _images(header, source))


def _accepted(sources: Sequence[Source]) -> list[tuple[Dataset, Source]]:
    """Headers and files of the images in order, each SOP Instance once; nothing was decoded yet."""
    found: dict[str, tuple[Dataset, Source]] = {}
    refused: list[str] = []
    pixels = 0
    for source in sources:
        header = source.header()
        try:
            pixel_format = _checked(header)
        except NotASlice as refusal:
            refused.append(str(refusal))
            continue
        require_bytes(header, pixel_format, source)
        if found.setdefault(text(header, "SOPInstanceUID"), (header, source))[1] is source:
            pixels += pixel_format.rows * pixel_format.columns * pixel_format.frames
    if not found:
        raise Refusal(min(refused, default="There is no image."))
    if pixels > MAXIMUM_PIXELS:
        raise Refusal(f"The images hold {pixels} pixels; up to {MAXIMUM_PIXELS} are read.")
    return sorted(found.values(), key=lambda each: (integer(each[0], "InstanceNumber"), text(each[0], "SOPInstanceUID")))


def _checked(header: Dataset) -> PixelFormat:
    """How the pixels are stored, if it is a projection image for presentation.

    Raises:
        NotASlice: it is something else.
        Refusal: it claims what cannot be.
    """
    with refusing("An image's header cannot be read"):
        sop_class_uid = text(header, "SOPClassUID")
        if sop_class_uid in RAW or text(header, "PresentationIntentType").upper() == "FOR PROCESSING":
            raise NotASlice("The image is raw (FOR PROCESSING); send the one for presentation.")
        if uids.UID(sop_class_uid) not in MODALITIES:
            raise NotASlice(f"Not a projection image but {_name(sop_class_uid)}; CR, DX, MG and IO can be analysed.")
        if integer(header, "SamplesPerPixel", 1) != 1 or not text(header, "PhotometricInterpretation").startswith("MONOCHROME"):
            raise NotASlice("The image is in colour or not greyscale; only greyscale images can be analysed.")
        if not text(header, "SOPInstanceUID"):
            raise Refusal("An image has no SOP Instance UID; results could not refer to it.")
        return pixel_format_of(header)


def _name(sop_class_uid: str) -> str:
    name = uids.UID(sop_class_uid).name if sop_class_uid else ""
    return name if name and name != sop_class_uid else "an unknown kind of object"


def _images(header: Dataset, source: Source) -> Iterator[ProjectionImage]:
    dataset = source.whole()
    pixel_format = _checked(header)
    frames = range(pixel_format.frames)
    for index, stored in stored_frames(dataset, pixel_format, frames):
        with refusing("An image cannot be brought to the values of a display"):
            pixels, window = _displayed(stored, dataset, pixel_format)
            yield ProjectionImage(
                pixels=pixels,
                window=window,
                pixel_spacing_mm=_spacing(dataset),
                modality=text(dataset, "Modality") or MODALITIES[uids.UID(text(dataset, "SOPClassUID"))],
                view_position=_view(dataset),
                laterality=_laterality(dataset),
                source=SliceReference(text(dataset, "SOPInstanceUID"), index + 1 if pixel_format.frames > 1 else None),
            )


def _displayed(
    stored: np.ndarray, dataset: Dataset, pixel_format: PixelFormat
) -> tuple[Float32[np.ndarray, "rows columns"], tuple[float, float]]:
    """Values after the Modality LUT, large is bright, and the first window; both turned over for MONOCHROME1."""
    ends = np.array(pixel_format.stored_range, stored.dtype)
    values = np.asarray(apply_modality_lut(stored, dataset), np.float32)
    low, high = sorted(float(v) for v in np.asarray(apply_modality_lut(ends, dataset), float))
    if not np.isfinite(values).all():
        raise Refusal("The Modality LUT of an image gives values that are no numbers; the header is damaged.")
    window = _window(dataset) or _usual(values)
    if text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        return np.asarray(np.float32(low + high) - values), (low + high - window[1], low + high - window[0])
    return values, window


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Bounds of the first Window Center and Width. Source: PS3.3 C.11.2.1.2."""
    centre, width = _first(dataset, "WindowCenter"), _first(dataset, "WindowWidth")
    if centre is None or width is None or width < 1:
        return None
    if text(dataset, "VOILUTFunction").upper() in ("", "LINEAR"):
        centre, width = centre - 0.5, width - 1
    return (centre - width / 2, centre + width / 2) if width > 0 else None


def _usual(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, PERCENTILES)
    return float(low), float(max(high, low + 1))


def _first(dataset: Dataset, keyword: str) -> float | None:
    value = dataset.get(keyword)
    several = Dataset()
    setattr(several, keyword, value[0] if isinstance(value, Sequence) and not isinstance(value, str) and value else value)
    return number(several, keyword)


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = numbers(dataset, keyword, 2)
        if spacing and min(spacing) > 0:
            return cast("tuple[float, float]", spacing)
    return None


def _view(dataset: Dataset) -> str:
    told = text(dataset, "ViewPosition").upper()
    codes = (text(item, "CodeValue") for item in dataset.get("ViewCodeSequence") or [])
    return told or next((VIEWS[code] for code in codes if code in VIEWS), "")


def _laterality(dataset: Dataset) -> str:
    told = (text(dataset, keyword).upper() for keyword in ("ImageLaterality", "Laterality"))
    return next((side for side in told if side in ("L", "R", "B")), "")
