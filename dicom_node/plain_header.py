"""The header of a file that is encoded as nearly all are, read at a fraction of pydicom's cost.

Only the elements that are asked for become pydicom's; the others are stepped over. Whatever is not plain – deflated or big
endian, a VR that is none, tags out of order, a length that leads out of what was read – is left to pydicom: then there is no
answer here. Source: DICOM PS3.10 7.1.
"""

import re
from collections.abc import Collection
from io import BytesIO
from typing import BinaryIO

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.tag import BaseTag

from dicom_node.elements import (
    BIG_ENDIAN,
    DEFLATED,
    IMPLICIT_VR_LITTLE_ENDIAN,
    KNOWN_VRS,
    UNDEFINED_LENGTH,
    CutOffError,
    Element,
    Encoding,
    elements,
)

READ_AT_FIRST_BYTES, READ_AT_MOST_BYTES = 1 << 15, 1 << 20
_META_START, GROUP_LENGTH_BYTES = 132, 12
GROUP_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
_TRANSFER_SYNTAX_UID, _SPECIFIC_CHARACTER_SET = 0x0002_0010, 0x0008_0005
_PIXELS = range(0x7FE0_0008, 0x7FE0_0011)
_STANDARD = re.compile(r"1\.2\.840\.10008\.[0-9.]+")


def read_plain_header(file: BinaryIO, wanted: Collection[int]) -> FileDataset | None:
    """File meta information and the wanted elements before the pixels, as pydicom would read them; None: let pydicom do it.

    Raises:
        OSError: the file cannot be read.
    """
    content = file.read(READ_AT_FIRST_BYTES)
    for most in (READ_AT_FIRST_BYTES, READ_AT_MOST_BYTES):
        content += file.read(most - len(content))
        is_all = len(content) < most
        try:
            return _parsed(content, wanted, is_all=is_all)
        except CutOffError:
            if is_all:
                return None
    return None


def _parsed(content: bytes, wanted: Collection[int], *, is_all: bool) -> FileDataset | None:
    """Raises CutOffError where more bytes may help."""
    start = _META_START + GROUP_LENGTH_BYTES
    if content[_META_START - 4 : _META_START + 8] != b"DICM" + GROUP_LENGTH:
        return None
    dataset_start = start + int.from_bytes(content[start - 4 : start], "little")
    meta = {
        element[0]: _raw(content, element, implicit=False) for element in elements(content[:dataset_start], start, Encoding())
    }
    syntax = meta.get(_TRANSFER_SYNTAX_UID)
    uid = (syntax.value or b"").decode("ascii", "replace").strip("\0 ") if syntax is not None else ""
    if not _STANDARD.fullmatch(uid) or uid in DEFLATED or uid == BIG_ENDIAN or len(content) < dataset_start:
        return None
    implicit = uid == IMPLICIT_VR_LITTLE_ENDIAN
    found: dict[int, RawDataElement] = {}
    before = 0x0002_FFFF
    for element in elements(content, dataset_start, Encoding(implicit_vr=implicit), _PIXELS):
        if element[0] in _PIXELS:
            break
        if not _is_plain(content, element, before, implicit=implicit):
            return None
        before = element[0]
        if before in wanted or before == _SPECIFIC_CHARACTER_SET:
            found[before] = _raw(content, element, implicit=implicit)
    else:
        if not is_all:
            raise CutOffError
    return _dataset(found, meta, implicit=implicit)


def _is_plain(content: bytes, element: Element, before: int, *, implicit: bool) -> bool:
    """Whether the element comes in its order and is encoded as the transfer syntax says."""
    tag, vr, value, _, length = element
    if implicit:
        return tag > before and content[value - 4 : value - 2] not in KNOWN_VRS
    return tag > before and vr in KNOWN_VRS and not (vr == b"UN" and length == UNDEFINED_LENGTH)


def _raw(content: bytes, element: Element, *, implicit: bool) -> RawDataElement:
    tag, vr, start, stop, length = element
    name = None if implicit else vr.decode("ascii")
    value = content[start:stop] if stop > start else empty_value_for_VR(name, raw=True)
    return RawDataElement(BaseTag(tag), name, length, value, start, implicit, True)  # type: ignore[arg-type]  # noqa: FBT003


def _dataset(found: dict[int, RawDataElement], meta: dict[int, RawDataElement], *, implicit: bool) -> FileDataset:
    dataset = Dataset({BaseTag(tag): raw for tag, raw in found.items()})
    character_set = found.get(_SPECIFIC_CHARACTER_SET)
    names = default_encoding if character_set is None else convert_encodings(convert_raw_data_element(character_set).value)
    dataset.set_original_encoding(implicit, True, names)  # noqa: FBT003
    file_meta = FileMetaDataset({BaseTag(tag): raw for tag, raw in meta.items()})
    file_meta.set_original_encoding(False, True, default_encoding)  # noqa: FBT003
    return FileDataset(BytesIO(), dataset, file_meta=file_meta, is_implicit_VR=implicit, is_little_endian=True)
