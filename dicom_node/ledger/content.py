"""Are two files the same instance? The file meta header may differ, the dataset may not."""

import hashlib
import os
import struct
from pathlib import Path

from dicom_node.errors import TransientError

PREFIX_BYTES = 132  # preamble and "DICM"
GROUP_LENGTH_BYTES = 12
GROUP_LENGTH_HEADER = b"\x02\x00\x00\x00UL\x04\x00"
CHUNK_BYTES = 1 << 20

Fingerprint = tuple[int, bytes]


def fingerprint(path: Path) -> Fingerprint:
    """Length and SHA-256 of the dataset, that is of what follows the file meta header (of the whole file if it has none).

    Raises:
        TransientError: the file cannot be read now.
        Source: PS3.10 7.1.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            start = _dataset_start(file.read(PREFIX_BYTES + GROUP_LENGTH_BYTES))
            size_bytes = os.fstat(file.fileno()).st_size
            file.seek(start)
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise TransientError(f"{path} cannot be read ({error.strerror}).") from error
    return size_bytes - start, digest.digest()


def _dataset_start(head: bytes) -> int:
    group_length = head[PREFIX_BYTES:]
    if len(group_length) < GROUP_LENGTH_BYTES or not group_length.startswith(GROUP_LENGTH_HEADER):
        return 0
    return PREFIX_BYTES + GROUP_LENGTH_BYTES + int(struct.unpack("<I", group_length[8:])[0])


class Comparison:
    """Compares files, each read at most once."""

    def __init__(self) -> None:
        self._fingerprints: dict[Path, Fingerprint] = {}

    def same(self, one: Path, other: Path) -> bool:
        return self._of(one) == self._of(other)

    def _of(self, path: Path) -> Fingerprint:
        if path not in self._fingerprints:
            self._fingerprints[path] = fingerprint(path)
        return self._fingerprints[path]
