"""Of which study an instance is, seen while it arrives: a walk over its first elements that keeps none of them.

Sequences are stepped through, not built, so that one of a million items costs time, and no memory.

Source: DICOM PS3.5 7.1 to 7.5, 6.2.2 note 4 (UN of undefined length), A.5 (deflated).
"""

import struct
import zlib

from dicom_node.receive.web.prefix import DEFLATED, LONG_VRS, uid_text

_STUDY_INSTANCE_UID = (0x0020, 0x000D)
_DELIMITERS = 0xFFFE
_ITEM = 0xE000
_UNDEFINED = 0xFFFFFFFF
_IMPLICIT_VR = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})
_BIG_ENDIAN = "1.2.840.10008.1.2.2"


def study_instance_uid(begin: bytes, transfer_syntax_uid: str) -> str | None:
    """Study Instance UID of a dataset, or None: it is not in what has come of it, or that cannot be read."""
    order = ">" if transfer_syntax_uid == _BIG_ENDIAN else "<"
    try:
        if transfer_syntax_uid in DEFLATED:
            begin = zlib.decompressobj(-zlib.MAX_WBITS).decompress(begin, len(begin))
        return _find(begin, order, implicit=transfer_syntax_uid in _IMPLICIT_VR)
    except (IndexError, struct.error, zlib.error):
        return None


def _find(begin: bytes, order: str, *, implicit: bool) -> str | None:
    """Walk to the element.

    Raises:
        struct.error: what has come ends before it.
        IndexError: something ends that has not begun.
    """
    offset = 0
    inside: list[bool] = []  # for each open sequence and item of undefined length, whether VRs outside were implicit
    while True:
        tag = group, element = struct.unpack_from(f"{order}HH", begin, offset)
        if group == _DELIMITERS:
            (length,) = struct.unpack_from(f"{order}L", begin, offset + 4)
            offset += 8
            if element != _ITEM:  # the end of an item or a sequence
                implicit = inside.pop()
            elif length == _UNDEFINED:
                inside.append(implicit)
            else:
                offset += length
            continue
        if not inside and tag > _STUDY_INSTANCE_UID:
            return None
        vr, length, header = _header(begin, offset, order, implicit=implicit)
        offset += header
        if not inside and tag == _STUDY_INSTANCE_UID:
            return uid_text(begin[offset : offset + length]) if offset + length <= len(begin) else None
        if length == _UNDEFINED:
            inside.append(implicit)
            implicit = implicit or vr == b"UN"
        else:
            offset += length


def _header(begin: bytes, offset: int, order: str, *, implicit: bool) -> tuple[bytes, int, int]:
    """VR (empty where it is implicit), length of the value, length of the header."""
    if implicit:
        return b"", struct.unpack_from(f"{order}L", begin, offset + 4)[0], 8
    vr, length = struct.unpack_from(f"{order}2sH", begin, offset + 4)
    if vr in LONG_VRS:
        return vr, struct.unpack_from(f"{order}L", begin, offset + 8)[0], 12
    return vr, length, 8
