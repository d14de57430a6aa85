"""From a received file to an `Instance`: its header is parsed once, without the pixels.

Values are kept as text, exactly as they were sent, so that an odd one cannot stop the others from being read.
"""

import re
import struct
import threading
import warnings
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from errno import EINVAL
from functools import cache
from io import BytesIO
from os import fstat
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import Dataset, FileDataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_deferred_data_element, read_file_meta_info
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_node.bounded_file import BoundedFile, inflate
from dicom_node.errors import UnreadableInstanceError
from dicom_node.model import Attributes, Instance
from dicom_node.plain_header import read_plain_header

ROUTING_KEYWORDS = frozenset(
    {
        "AccessionNumber",
        "AcquisitionNumber",
        "AnatomicRegionSequence",
        "BodyPartExamined",
        "BurnedInAnnotation",
        "Columns",
        "ContrastBolusAgent",
        "ContributingEquipmentSequence.DeviceUID",
        "ContributingEquipmentSequence.ManufacturerModelName",
        "ConvolutionKernel",
        "DeviceUID",
        "EchoTime",
        "FrameOfReferenceUID",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "ImageType",
        "InstanceNumber",
        "InversionTime",
        "Manufacturer",
        "ManufacturerModelName",
        "Modality",
        "NumberOfFrames",
        "PatientAge",
        "PatientPosition",
        "PatientSex",
        "PhotometricInterpretation",
        "PixelSpacing",
        "ProcedureCodeSequence",
        "ProtocolName",
        "RepetitionTime",
        "RequestedProcedureDescription",
        "Rows",
        "SOPClassUID",
        "ScanningSequence",
        "SequenceName",
        "SeriesDescription",
        "SeriesNumber",
        "SeriesTime",
        "SliceThickness",
        "SpacingBetweenSlices",
        "StationName",
        "StudyDate",
        "StudyDescription",
    }
)
"""What routing, assembly and the command line look at; no name and no number of a patient."""

IDENTIFYING_KEYWORDS = frozenset({"SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"})
_PLANE_KEYWORDS = frozenset(
    {
        "Columns",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "PerFrameFunctionalGroupsSequence",
        "PixelSpacing",
        "Rows",
        "SharedFunctionalGroupsSequence",
    }
)
LONGEST_UID = 64
DEFERRED_BYTES = 65536
"""Longer values are left in the file: of what routing looks at only sequences are so long."""
LONGEST_SEQUENCE_BYTES = 16 << 20
MOST_ITEMS = 500_000
PEEK_BYTES = 2048
ITEM, BIG_ENDIAN_ITEM = b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"
PIXEL_GROUP = 0x7FE0
META_START = 144  # preamble, "DICM" and (0002,0000)

ESCAPE = b"\x1b"
_PLAIN_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI"})
"""ASCII values of these are what they seem in every character set; several are parted by a backslash."""
_UID = re.compile(r"[0-9.]+")
PARSE_ERRORS = (
    BytesLengthException,
    InvalidDicomError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on files that are cut, garbled or no DICOM at all."""

_quiet = threading.Lock()


@contextmanager
def quietly() -> Iterator[None]:
    """Without pydicom's warnings, which quote values."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_instance(path: Path, *, received_at: float, keywords: Collection[str] = ROUTING_KEYWORDS) -> Instance:
    """Read the header of a Part 10 file.

    Args:
        path: the file.
        received_at: when it arrived, seconds since the epoch.
        keywords: attributes to collect; "SequenceKeyword.Keyword" collects from the items of a sequence, in order.

    Raises:
        UnreadableInstanceError: it cannot be indexed; the reason names no patient.
        OSError: the file cannot be opened or read.

    Source: PS3.10 7.1 (file meta information), Table 7.1-1 for the AE titles and the address in it.
    """
    with path.open("rb") as file, quietly():
        try:
            dataset = read_plain_header(file, _tags(frozenset(keywords))) or _read(file)
            return _instance(dataset, path.absolute(), fstat(file.fileno()).st_size, received_at, keywords)
        except UnreadableInstanceError:
            raise
        except PARSE_ERRORS as error:
            if isinstance(error, OSError) and error.errno not in {None, EINVAL}:  # EINVAL: a length leads out of the file
                raise  # the disk's, not the file's; the next sweep tries again
            raise UnreadableInstanceError(f"the header cannot be read ({type(error).__name__})") from None


def _read(file: BinaryIO) -> FileDataset:
    file.seek(0)
    try:
        dataset = _inflated(file) or dcmread(BoundedFile(file), stop_before_pixels=True, defer_size=DEFERRED_BYTES)
    except InvalidDicomError:
        raise UnreadableInstanceError("no DICOM file: the preamble or the file meta information is missing") from None
    if not dataset.file_meta.get("TransferSyntaxUID"):
        raise UnreadableInstanceError("the file meta information names no transfer syntax")
    dataset.fileobj_type = open  # deferred values are read from the file of this name
    return dataset


def _inflated(file: BinaryIO) -> FileDataset | None:
    """The header of a deflated dataset; None if the dataset is not deflated."""
    may_be_deflated = DeflatedExplicitVRLittleEndian.encode() in file.read(PEEK_BYTES)
    file.seek(0)
    meta = read_file_meta_info(file.name) if may_be_deflated else FileMetaDataset()
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return None
    file.seek(META_START + int(meta.FileMetaInformationGroupLength))
    content, is_all = inflate(file)
    met_pixels = False

    def at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal met_pixels
        met_pixels = tag.group >= PIXEL_GROUP
        return met_pixels

    dataset = read_dataset(BoundedFile(BytesIO(content)), False, True, stop_when=at_pixels)  # type: ignore[arg-type]  # noqa: FBT003
    if not is_all and not met_pixels:
        raise UnreadableInstanceError("the header is too long once it is inflated")
    return FileDataset(BytesIO(), dataset, file_meta=meta, is_implicit_VR=False, is_little_endian=True)


def _instance(dataset: FileDataset, path: Path, size_bytes: int, received_at: float, keywords: Collection[str]) -> Instance:
    meta = dataset.file_meta
    stated = _plain(meta, "MediaStorageSOPInstanceUID")
    sop_instance_uid = _uid(*_either(dataset, meta, "SOPInstanceUID"))
    if stated and stated != sop_instance_uid:
        raise UnreadableInstanceError("the SOP Instance UID of the file meta information is not that of the dataset")
    return Instance(
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=_uid(*_either(dataset, meta, "SOPClassUID")),
        series_instance_uid=_uid(dataset, "SeriesInstanceUID"),
        study_instance_uid=_uid(dataset, "StudyInstanceUID"),
        transfer_syntax_uid=_uid(meta, "TransferSyntaxUID"),
        path=path,
        size_bytes=size_bytes,
        received_at=received_at,
        calling_ae_title=_plain(meta, "SendingApplicationEntityTitle") or _plain(meta, "SourceApplicationEntityTitle"),
        called_ae_title=_plain(meta, "ReceivingApplicationEntityTitle"),
        peer_address=_plain(meta, "SourcePresentationAddress"),
        attributes=_attributes(dataset, keywords),
        planes=tuple(_planes(dataset)),
    )


def _either(dataset: Dataset, meta: Dataset, keyword: str) -> tuple[Dataset, str]:
    """Where a UID stands that some writers put into the file meta information alone."""
    return (dataset, keyword) if _plain(dataset, keyword) else (meta, f"MediaStorage{keyword}")


def _plain(dataset: Dataset, keyword: str) -> str:
    return next(iter(_texts(dataset, keyword)), "")


def _uid(dataset: Dataset, keyword: str) -> str:
    uid = _plain(dataset, keyword)
    if not uid:
        raise UnreadableInstanceError(f"{keyword} is missing")
    if len(uid) > LONGEST_UID or not _UID.fullmatch(uid):
        raise UnreadableInstanceError(f"{keyword} is no UID")
    return uid


def _attributes(dataset: Dataset, keywords: Collection[str]) -> Attributes:
    found = {keyword: tuple(_values(dataset, keyword.split("."))) for keyword in sorted(keywords)}
    return {keyword: values for keyword, values in found.items() if values}


def _values(dataset: Dataset, steps: list[str]) -> Iterator[str]:
    if len(steps) == 1:
        yield from _texts(dataset, steps[0])
        return
    for item in _items(dataset, steps[0]):
        yield from _values(item, steps[1:])


def _items(dataset: Dataset, keyword: str) -> Sequence | tuple[Dataset, ...]:
    _require_parsable(dataset, keyword)
    value = dataset.get(keyword)
    return value if isinstance(value, Sequence) else ()


def _texts(dataset: Dataset, keyword: str) -> Iterator[str]:
    """The values that are not empty, as text; what its VR does not allow, as it was sent."""
    tag = _tag(keyword)
    if tag is None or tag not in dataset:
        return
    raw = _require_parsable(dataset, keyword)
    if isinstance(raw, RawDataElement) and _is_plain(raw):
        yield from filter(None, (text.strip(" \0") for text in (raw.value or b"").decode("ascii").split("\\")))
        return
    try:
        value = dataset[tag].value
    except (BytesLengthException, ValueError, TypeError, KeyError, NotImplementedError, struct.error):
        value = _as_sent(raw)
    several = value if isinstance(value, MultiValue | list | Sequence) else (value,)
    for one in several:
        text = _code(one) if isinstance(one, Dataset) else "" if one is None else str(one).strip(" \0")
        if text:
            yield text


def _is_plain(raw: RawDataElement) -> bool:
    """Whether its bytes are its text, whatever the character set."""
    value, vr = raw.value, raw.VR or dictionary_VR(raw.tag)
    return vr in _PLAIN_VRS and isinstance(value, bytes) and value.isascii() and ESCAPE not in value


def _require_parsable(dataset: Dataset, keyword: str) -> DataElement | RawDataElement | None:
    """The element before its value is parsed, if it has one; pydicom parses a sequence when it is first looked at.

    Raises:
        UnreadableInstanceError: its value is too long, or has too many items.
    """
    tag = _tag(keyword)
    if tag is None or tag not in dataset:
        return None
    raw = dataset.get_item(tag, keep_deferred=True)
    if not isinstance(raw, RawDataElement):
        return raw
    if raw.value is None and raw.length > LONGEST_SEQUENCE_BYTES:
        raise UnreadableInstanceError(f"{keyword} is too long, or claims to be")
    if raw.value is None and raw.length and isinstance(dataset, FileDataset):
        raw = read_deferred_data_element(open, dataset.filename, dataset.timestamp, raw)
        dataset[tag] = raw
    if isinstance(raw.value, bytes) and raw.value.count(ITEM) + raw.value.count(BIG_ENDIAN_ITEM) > MOST_ITEMS:
        raise UnreadableInstanceError(f"{keyword} has too many items")
    return raw


@cache
def _tags(keywords: frozenset[str]) -> frozenset[int]:
    """Of all elements of the outermost level that become part of an `Instance`."""
    outermost = {keyword.partition(".")[0] for keyword in keywords | IDENTIFYING_KEYWORDS | _PLANE_KEYWORDS}
    return frozenset(tag for tag in map(_tag, outermost) if tag is not None)


@cache
def _tag(keyword: str) -> BaseTag | None:
    number = tag_for_keyword(keyword)
    return None if number is None else Tag(number)


def _as_sent(raw: Any) -> list[str]:
    content = raw.value if isinstance(raw, RawDataElement) else None
    return content.decode("ascii", "replace").split("\\") if isinstance(content, bytes) else []


def _code(item: Dataset) -> str:
    """A code sequence item as "value^scheme".

    Source: PS3.3 8.1-8.2.
    """
    value = _plain(item, "CodeValue") or _plain(item, "LongCodeValue") or _plain(item, "URNCodeValue")
    return f"{value}^{_plain(item, 'CodingSchemeDesignator')}" if value else ""


def _planes(dataset: Dataset) -> Iterator[tuple[float, ...]]:
    """Position, orientation, spacing, rows and columns of each frame that has a position and an orientation.

    Source: PS3.3 C.7.6.2 (Image Plane), C.7.6.16 (Multi-frame Functional Groups).
    """
    grid = (*(_numbers(dataset, "Rows", 1) or (0.0,)), *(_numbers(dataset, "Columns", 1) or (0.0,)))
    per_frame = _items(dataset, "PerFrameFunctionalGroupsSequence")
    if not per_frame:
        plane = _plane(dataset, dataset, dataset, grid)
        if plane:
            yield plane
        return
    shared = next(iter(_items(dataset, "SharedFunctionalGroupsSequence")), Dataset())
    common = {macro: _macro(shared, macro) for macro in ("PlanePosition", "PlaneOrientation", "PixelMeasures")}
    for frame in per_frame:
        groups = [_macro(frame, macro) or shared_group for macro, shared_group in common.items()]
        plane = _plane(groups[0], groups[1], groups[2], grid)
        if plane:
            yield plane


def _macro(group: Dataset, name: str) -> Dataset | None:
    return next(iter(_items(group, f"{name}Sequence")), None)


def _plane(
    position_group: Dataset | None, orientation_group: Dataset | None, measures: Dataset | None, grid: tuple[float, ...]
) -> tuple[float, ...]:
    position = _numbers(position_group, "ImagePositionPatient", 3)
    orientation = _numbers(orientation_group, "ImageOrientationPatient", 6)
    if not position or not orientation:
        return ()
    return (*position, *orientation, *(_numbers(measures, "PixelSpacing", 2) or (0.0, 0.0)), *grid)


def _numbers(dataset: Dataset | None, keyword: str, count: int) -> tuple[float, ...]:
    """Exactly that many finite numbers, or none."""
    if dataset is None:
        return ()
    try:
        numbers = tuple(float(text) for text in _texts(dataset, keyword))
    except ValueError:
        return ()
    finite = all(abs(number) < float("inf") for number in numbers)
    return numbers if len(numbers) == count and finite else ()
