"""Instances that can be opened: header first, pixels only when it is known what they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from engine.api import Refusal
from engine.reading.elements import refusing
from engine.reading.header import PixelFormat
from engine.reading.pixels import transfer_syntax_of

_SLACK_BYTES = 1024


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
            return dcmread(path, stop_before_pixels=True, specific_tags=list(keywords), force=True)

    def whole() -> Dataset:
        with refusing("A file cannot be read as DICOM"):
            return dcmread(path, force=True)

    return Source(header, whole, lambda: path.stat().st_size + _SLACK_BYTES)


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
