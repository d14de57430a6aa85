"""The matrix that a compressed frame itself declares, so that no codec allocates what the header never promised.

Source: ISO/IEC 10918-1 B.2.2 (JPEG), 14495-1 C.2.2 (JPEG-LS), 15444-1 A.5.1 (JPEG 2000).
"""

import struct

_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "


def declared_matrix(frame: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and components of a JPEG, JPEG-LS or JPEG 2000 codestream; None if it is no such stream."""
    try:
        if frame.startswith(_JP2_SIGNATURE):
            frame = frame[frame.index(b"\xff\x4f\xff\x51") :]
        if frame.startswith(b"\xff\x4f\xff\x51"):
            return _jpeg_2000(frame)
        return _jpeg(frame) if frame.startswith(b"\xff\xd8") else None
    except (struct.error, IndexError, ValueError):
        return None


def _jpeg_2000(frame: bytes) -> tuple[int, int, int]:
    width, height, left, top = struct.unpack_from(">4I", frame, 8)
    components = struct.unpack_from(">H", frame, 40)[0]
    return height - top, width - left, components


def _jpeg(frame: bytes) -> tuple[int, int, int] | None:
    offset = 2
    while offset < len(frame):
        if frame[offset] != 0xFF:
            return None
        marker = frame[offset + 1]
        if marker == 0xFF:
            offset += 1
            continue
        length = struct.unpack_from(">H", frame, offset + 2)[0]
        if marker in _START_OF_FRAME:
            rows, columns = struct.unpack_from(">2H", frame, offset + 5)
            return rows, columns, frame[offset + 9]
        offset += 2 + length
    return None
