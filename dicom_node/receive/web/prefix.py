"""What stands before the dataset of an instance that arrives: preamble and File Meta Information.

Source: DICOM PS3.10 7.1; PS3.5 7.1.2 (explicit VR).
"""

import struct
from dataclasses import dataclass

from dicom_node.elements import DEFLATED, LONG_VRS
from dicom_node.receive.web.refusals import FailureReason, PartRefused

LONGEST_PREFIX_BYTES = 1 << 16
_PREAMBLE_BYTES = 128
_GROUP_2 = b"\x02\x00"
_TRANSFER_SYNTAX_UID = 0x0010


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
    sop_class, sop_instance, transfer_syntax = (
        uid_text(values.get(tag, b"")) for tag in (0x0002, 0x0003, _TRANSFER_SYNTAX_UID)
    )
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
            if offset == group_ends and uid_text(values.get(_TRANSFER_SYNTAX_UID, b"")) in DEFLATED:
                break
            element, vr, length = struct.unpack_from("<H2sH", begin, offset + 2)
            offset += 8
            if vr in LONG_VRS:
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


def uid_text(value: bytes) -> str:
    """A UID without its padding."""
    return value.decode("latin-1").strip("\0 ")
