"""A walk over the elements of an encoded dataset that builds none of them.

Sequences are stepped through, so that one of a million items costs time and no memory. Values stay where they are.

Source: DICOM PS3.5 7.1 to 7.5, 6.2.2 note 4 (UN of undefined length).
"""

import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass

from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

LONG_VRS = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)
KNOWN_VRS = frozenset(vr.value.encode() for vr in VR if len(vr.value) == len("PN"))
IMPLICIT_VR_LITTLE_ENDIAN, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
IMPLICIT_VR = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, "1.2.840.113619.5.2"})
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
UNDEFINED_LENGTH = 0xFFFFFFFF
_DELIMITERS, _ITEM = 0xFFFE, 0xE000


class CutOffError(Exception):
    """The bytes end in the middle of something, or are no elements."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are written."""

    implicit_vr: bool = False
    big_endian: bool = False

    @classmethod
    def of(cls, transfer_syntax_uid: str) -> "Encoding":
        """That of a transfer syntax, of its inflated bytes if it deflates."""
        return cls(transfer_syntax_uid in IMPLICIT_VR, transfer_syntax_uid == BIG_ENDIAN)


Element = tuple[int, bytes, int, int, int]
"""Tag; VR, empty where it is implicit; where the value begins and ends; the length that the element states."""


def elements(content: bytes, offset: int, encoding: Encoding, until: Container[int] = ()) -> Iterator[Element]:
    """The elements of the outermost level, in their order, up to the end of the bytes.

    Args:
        content: holds the elements.
        offset: where the first begins.
        encoding: of the elements.
        until: the first of these tags is the last that comes, without its value.

    Raises:
        CutOffError: the bytes end before an element does, or an item ends that has not begun.
    """
    order = ">" if encoding.big_endian else "<"
    short, long = struct.Struct(f"{order}HH2sH").unpack_from, struct.Struct(f"{order}L").unpack_from
    end = len(content)
    try:
        while offset < end:
            group, number, vr, length = short(content, offset)
            if encoding.implicit_vr:
                vr, length, value = b"", long(content, offset + 4)[0], offset + 8
            elif vr in LONG_VRS:
                length, value = long(content, offset + 8)[0], offset + 12
            else:
                value = offset + 8
            tag = group << 16 | number
            if tag in until:
                yield tag, vr, value, value, length
                return
            if length != UNDEFINED_LENGTH:
                offset = stop = value + length
            else:
                stop, offset = _end_of_undefined(content, value, order, implicit=encoding.implicit_vr or vr == b"UN")
            if offset > end:
                raise CutOffError
            yield tag, vr, value, stop, length
    except (struct.error, IndexError):
        raise CutOffError from None


def _end_of_undefined(content: bytes, offset: int, order: str, *, implicit: bool) -> tuple[int, int]:
    """Where the items of a value of undefined length end, and where the next element begins.

    Raises:
        struct.error: what has come ends before.
        IndexError: something ends that has not begun.
    """
    inside = [implicit]  # for each open sequence and item of undefined length, whether VRs in it are implicit
    while True:
        group, number = struct.unpack_from(f"{order}HH", content, offset)
        if group == _DELIMITERS:
            (length,) = struct.unpack_from(f"{order}L", content, offset + 4)
            if number != _ITEM:  # the end of an item or a sequence
                inside.pop()
                if not inside:
                    return offset, offset + 8
            elif length == UNDEFINED_LENGTH:
                inside.append(inside[-1])
            else:
                offset += length
            offset += 8
            continue
        vr, length, header = _header(content, offset, order, implicit=inside[-1])
        offset += header
        if length == UNDEFINED_LENGTH:
            inside.append(inside[-1] or vr == b"UN")
        else:
            offset += length


def _header(content: bytes, offset: int, order: str, *, implicit: bool) -> tuple[bytes, int, int]:
    """VR (empty where it is implicit), length of the value, length of the header."""
    if implicit:
        return b"", struct.unpack_from(f"{order}L", content, offset + 4)[0], 8
    vr, length = struct.unpack_from(f"{order}2sH", content, offset + 4)
    if vr in LONG_VRS:
        return vr, struct.unpack_from(f"{order}L", content, offset + 8)[0], 12
    return vr, length, 8
