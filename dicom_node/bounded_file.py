"""A file whose parser can be led astray only so far: hostile headers cost bounded time and memory.

A few bytes of a file can claim, or become, very many: empty items of a sequence, values in items that nothing defers, a
deflated dataset (1 to 1,000). What is legitimate stays far below: an enhanced image of 5,000 frames takes 600,000 reads.
"""

import zlib
from typing import BinaryIO

from dicom_node.errors import UnreadableInstanceError

MOST_READS = 2_000_000
MOST_BYTES = 256 << 20
MOST_INFLATED_BYTES = 32 << 20
_CHUNK_BYTES = 1 << 16


class BoundedFile:
    """What pydicom needs of a file, and no more than so many reads and bytes.

    Every read raises UnreadableInstanceError once there were too many.
    """

    def __init__(self, file: BinaryIO, most_reads: int = MOST_READS, most_bytes: int = MOST_BYTES) -> None:
        self._file = file
        self._reads_left = most_reads
        self._bytes_left = most_bytes
        self.name = getattr(file, "name", None)
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        self._reads_left -= 1
        if self._reads_left < 0:
            raise UnreadableInstanceError("the header has too many elements")
        if not 0 <= size <= self._bytes_left:
            raise UnreadableInstanceError("the header is too long, or claims to be")
        content = self._file.read(size)
        self._bytes_left -= len(content)
        return content


def inflate(file: BinaryIO, most_bytes: int = MOST_INFLATED_BYTES) -> tuple[bytearray, bool]:
    """The beginning of a deflated dataset, from where the file stands, and whether that is all of it.

    Raises:
        UnreadableInstanceError: it is cut off.
        zlib.error: it is no deflated data.

    Source: PS3.5 A.5.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    found = bytearray()
    while not inflater.eof:
        content = inflater.unconsumed_tail or file.read(_CHUNK_BYTES)
        if not content:
            raise UnreadableInstanceError("the deflated dataset is cut off")
        found += inflater.decompress(content, most_bytes + 1 - len(found))
        if len(found) > most_bytes:
            return found, False
    return found, True
