"""What is read of an instance while it arrives: the File Meta Information, and of which study it is.

Source: DICOM PS3.10 7.1; PS3.5 7.1.2 (explicit VR).
"""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO

from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from dicom_node.headers import PARSE_ERRORS, quietly
from dicom_node.receive.web.refusals import FailureReason, PartRefused

LONGEST_PREFIX_BYTES = 1 << 16
_PREAMBLE_BYTES = 128
_GROUP_2 = b"\x02\x00"
_LONG_VRS = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)
_TRANSFER_SYNTAX_UID = 0x0010
_STUDY_INSTANCE_UID = BaseTag(0x0020000D)
_IMPLICIT_VR = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})
_BIG_ENDIAN = frozenset({"1.2.840.10008.1.2.2"})
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})


@dataclass(frozen=True, slots=True)
class Prefix:
    """What stands before the dataset.

    Attributes:
        length_bytes: where the dataset begins.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    length_bytes: int


def read_prefix(begin: bytes) -> Prefix:
    """Preamble and File Meta Information.

    Args:
        begin: of the file, as much as has come, or `LONGEST_PREFIX_BYTES`.

    Raises:
        PartRefused: it is no Part 10 file, or does not say what it holds.
    """
    if begin[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] != b"DICM":
        raise PartRefused(FailureReason.CANNOT_UNDERSTAND, "no DICOM file of PS3.10")
    values, length = _file_meta(begin, _PREAMBLE_BYTES + 4)
    sop_class, sop_instance, transfer_syntax = (_text(values.get(tag, b"")) for tag in (0x0002, 0x0003, _TRANSFER_SYNTAX_UID))
    if not (sop_class and sop_instance and transfer_syntax):
        raise PartRefused(FailureReason.CANNOT_UNDERSTAND, "File Meta Information lacks SOP class, instance or transfer syntax")
    return Prefix(sop_class, sop_instance, transfer_syntax, length)


def _file_meta(begin: bytes, offset: int) -> tuple[dict[int, bytes], int]:
    """Values by element number, and where the group ends: at the first tag of another group, whatever its length says.

    A deflated dataset may begin with any bytes: there the length counts.
    """
    values: dict[int, bytes] = {}
    group_ends = -1
    try:
        while offset < len(begin) and begin[offset : offset + 2] == _GROUP_2:
            if offset == group_ends and _text(values.get(_TRANSFER_SYNTAX_UID, b"")) in _DEFLATED:
                break
            element, vr, length = struct.unpack_from("<H2sH", begin, offset + 2)
            offset += 8
            if vr in _LONG_VRS:
                (length,) = struct.unpack_from("<L", begin, offset)
                offset += 4
            values[element] = begin[offset : offset + length]
            offset += length
            if element == 0 and length == 4:
                group_ends = offset + struct.unpack("<L", values[0])[0]
    except struct.error:
        offset = len(begin) + 1
    if offset > len(begin) or offset == LONGEST_PREFIX_BYTES:
        raise PartRefused(FailureReason.CANNOT_UNDERSTAND, "File Meta Information is cut off, or too long")
    return values, offset


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")


def study_instance_uid(begin: bytes, transfer_syntax_uid: str) -> str | None:
    """Study Instance UID of a dataset, or None: it is not in what has come of it, or that cannot be read."""
    try:
        with quietly():
            if transfer_syntax_uid in _DEFLATED:
                begin = zlib.decompressobj(-zlib.MAX_WBITS).decompress(begin, len(begin))
            found = read_dataset(
                BytesIO(begin),
                transfer_syntax_uid in _IMPLICIT_VR,
                transfer_syntax_uid not in _BIG_ENDIAN,
                stop_when=lambda tag, _vr, _length: tag > _STUDY_INSTANCE_UID,
                specific_tags=[_STUDY_INSTANCE_UID],
            ).get_item(_STUDY_INSTANCE_UID)
    except PARSE_ERRORS:
        return None
    if not isinstance(found, RawDataElement) or found.value is None or len(found.value) < found.length:
        return None
    return _text(found.value)
