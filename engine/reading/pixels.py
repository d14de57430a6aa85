"""Stored pixel values of single frames, in any transfer syntax; limits are checked before a codec runs."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pydicom.uid as uids
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder

from engine.api import Refusal
from engine.reading.codestream import declared_matrix
from engine.reading.elements import refusing
from engine.reading.header import PixelFormat

_IMAGE_PIXEL = (
    *("SOPClassUID", "SOPInstanceUID", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)


def transfer_syntax_of(dataset: Dataset) -> uids.UID:
    """As the file meta information says; for a dataset without one as it was parsed."""
    meta = getattr(dataset, "file_meta", None)
    stated = meta.get("TransferSyntaxUID") if meta is not None else None
    if stated:
        return cast("uids.UID", stated)
    implicit, little = dataset.original_encoding
    if not implicit and little is False:
        return uids.ExplicitVRBigEndian
    return uids.ImplicitVRLittleEndian if implicit else uids.ExplicitVRLittleEndian


def stored_frames(dataset: Dataset, pixel_format: PixelFormat, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Index and stored values [row, column] of the wanted frames of an instance, ascending by index.

    Raises:
        Refusal: the pixel data is absent, truncated, not what the header says or in an unknown encoding.
    """
    with refusing("The pixel data of an image cannot be read"):
        if "PixelData" not in dataset:
            raise Refusal("An image holds no pixel data; it is damaged or incomplete. Send it again.")
        transfer_syntax = transfer_syntax_of(dataset)
        if not isinstance(dataset.PixelData, bytes):
            raise Refusal("The pixel data of an image is not stored as bytes; the file is damaged.")
        if transfer_syntax.is_encapsulated:
            yield from _compressed(dataset, pixel_format, set(wanted), transfer_syntax)
        else:
            yield from _native(dataset, pixel_format, sorted(wanted), transfer_syntax)


def _native(
    dataset: Dataset, pixel_format: PixelFormat, wanted: Sequence[int], transfer_syntax: uids.UID
) -> Iterator[tuple[int, np.ndarray]]:
    expected, present = pixel_format.frame_bytes * pixel_format.frames, len(dataset.PixelData)
    if present < expected:
        raise Refusal(f"The pixel data of an image is truncated: {present} of {expected} bytes. Send it again.")
    decoder = get_decoder(transfer_syntax)
    for index in wanted:
        values, _ = decoder.as_array(dataset, index=index, raw=True)
        yield index, _checked(values, pixel_format)


def _compressed(
    dataset: Dataset, pixel_format: PixelFormat, wanted: set[int], transfer_syntax: uids.UID
) -> Iterator[tuple[int, np.ndarray]]:
    offsets = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    frames = generate_frames(dataset.PixelData, number_of_frames=pixel_format.frames, extended_offsets=offsets)
    left = set(wanted)
    for index, frame in enumerate(frames):
        if index in left:
            left.remove(index)
            yield index, _checked(_decode(_lone_frame(dataset, frame, transfer_syntax), frame, pixel_format), pixel_format)
    if left:
        raise Refusal(
            f"The pixel data of an image is truncated: {len(left)} of {len(wanted)} frames are missing. Send it again."
        )


def _lone_frame(dataset: Dataset, frame: bytes, transfer_syntax: uids.UID) -> Dataset:
    """The one frame as a dataset of its own, with nothing in it but what describes pixels."""
    lone = Dataset()
    for keyword in _IMAGE_PIXEL:
        if keyword in dataset:
            lone[keyword] = dataset[keyword]
    lone.PixelData = encapsulate([frame])
    lone["PixelData"].is_undefined_length = True
    lone.file_meta = FileMetaDataset()
    lone.file_meta.TransferSyntaxUID = transfer_syntax
    return lone


def _decode(lone: Dataset, frame: bytes, pixel_format: PixelFormat) -> np.ndarray:
    transfer_syntax = transfer_syntax_of(lone)
    declared = declared_matrix(frame)
    if declared is None and transfer_syntax != uids.RLELossless:
        raise Refusal("The compressed pixel data of an image is damaged. Send it again.")
    if declared is not None and declared != (pixel_format.rows, pixel_format.columns, 1):
        raise Refusal("The compressed pixel data has another matrix than the header says; the image is damaged.")
    try:
        values, _ = get_decoder(transfer_syntax).as_array(lone, index=0, raw=True)
    except (RuntimeError, NotImplementedError, ValueError):
        # pydicom's plugins decline 12-bit and progressive JPEG, which the GDCM within SimpleITK decodes.
        values = _decode_with_simpleitk(lone)
    return np.asarray(values)


def _decode_with_simpleitk(lone: Dataset) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.dcm"
        lone.save_as(path, enforce_file_format=True)
        return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).squeeze())


def _checked(values: np.ndarray, pixel_format: PixelFormat) -> np.ndarray:
    if values.shape != (pixel_format.rows, pixel_format.columns) or values.dtype.kind not in "iu":
        raise Refusal("The pixel data of an image is not what its header says; the image is damaged.")
    return values
