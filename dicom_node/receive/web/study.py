"""Of which study an instance is, seen while it arrives.

Source: DICOM PS3.5 A.5 (deflated).
"""

import zlib

from dicom_node.elements import DEFLATED, CutOffError, Encoding, elements
from dicom_node.receive.web.prefix import uid_text

_STUDY_INSTANCE_UID = 0x0020_000D


def study_instance_uid(begin: bytes, transfer_syntax_uid: str) -> str | None:
    """Study Instance UID of a dataset, or None: it is not in what has come of it, or that cannot be read."""
    try:
        if transfer_syntax_uid in DEFLATED:
            begin = zlib.decompressobj(-zlib.MAX_WBITS).decompress(begin, len(begin))
        for tag, _, start, stop, _ in elements(begin, 0, Encoding.of(transfer_syntax_uid)):
            if tag >= _STUDY_INSTANCE_UID:
                return uid_text(begin[start:stop]) if tag == _STUDY_INSTANCE_UID else None
    except (CutOffError, zlib.error):
        return None
    return None
