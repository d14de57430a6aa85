"""Instances that can be opened: header first, pixels only when it is known what they are."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom.uid as uids
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info

from engine.api import Refusal
from engine.reading.elements import refusing
from engine.reading.header import PixelFormat
from engine.reading.pixels import transfer_syntax_of

MAXIMUM_INFLATED_BYTES = 1 << 30
_SLACK_BYTES = 1024
_PEEK_BYTES, _CHUNK_BYTES = 2048, 1 << 20
_META_START = 144  # preamble, "DICM" and (0002,0000)


@dataclass(frozen=True, slots=True)
class Source:
    """An instance that can be opened: its header alone, and whole; `size_bytes` bounds what its pixels can be."""

    header: Callable[[], Dataset]
    whole: Callable[[], Dataset]
    size_bytes: Callable[[], int]


def file_source(path: Path, keywords: Sequence[str]) -> Source:
    """A file; of its header these elements are read."""

    def header() -> Dataset:
        with refusing("A file cannot be read as DICOM"):
            _require_bounded(path)
            return dcmread(path, stop_before_pixels=True, specific_tags=list(keywords), force=True)

    def whole() -> Dataset:
        with refusing("A file cannot be read as DICOM"):
            return dcmread(path, force=True)

    return Source(header, whole, lambda: path.stat().st_size + _SLACK_BYTES)


def _require_bounded(path: Path) -> None:
    """A deflated dataset becomes up to a thousand times as large; how large is known before it is kept.

    Raises:
        Refusal: too large.
        zlib.error: it is no deflated data.

    Source: PS3.5 A.5.
    """
    with path.open("rb") as file:
        if uids.DeflatedExplicitVRLittleEndian.encode() not in file.read(_PEEK_BYTES):
            return
        meta = read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") != uids.DeflatedExplicitVRLittleEndian:
            return
        file.seek(_META_START + int(meta.FileMetaInformationGroupLength))
        inflater, size_bytes = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while not inflater.eof and (content := inflater.unconsumed_tail or file.read(_CHUNK_BYTES)):
            size_bytes += len(inflater.decompress(content, _CHUNK_BYTES))
            if size_bytes > MAXIMUM_INFLATED_BYTES:
                raise Refusal(
                    f"A deflated file holds more than {MAXIMUM_INFLATED_BYTES} bytes when it is inflated. Send it uncompressed."
                )


def dataset_source(dataset: Dataset) -> Source:
    """A complete dataset in memory."""
    return Source(lambda: dataset, lambda: dataset, lambda: _pixel_bytes(dataset))


def require_bytes(header: Dataset, pixel_format: PixelFormat, source: Source) -> None:
    """Uncompressed pixels need their room in the file; this is known before anything is allocated.

    Raises:
        Refusal: the file is too small for what its header claims.
    """
    with refusing("An image's header cannot be read"):
        transfer_syntax = transfer_syntax_of(header)
        compressed = transfer_syntax.is_compressed or transfer_syntax.is_deflated
    expected = pixel_format.frame_bytes * pixel_format.frames
    if not compressed and source.size_bytes() < expected:
        raise Refusal(f"The pixel data of an image is truncated: {expected} bytes are claimed, fewer are there. Send it again.")


def _pixel_bytes(dataset: Dataset) -> int:
    with refusing("The pixel data of an image cannot be read"):
        return len(dataset.PixelData) if "PixelData" in dataset else 0
