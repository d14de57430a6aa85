"""What is really on the disk, read without the node's code."""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.journal import Journal

_META_START = 144  # preamble, DICM, (0002,0000) with its value
_SOP_INSTANCE_UID = 0x0003
_LONG_FORMS = (b"OB", b"OW", b"UN", b"UT", b"SQ", b"UR", b"UC")


class NotWhole(Exception):
    """A file that no Part 10 file looks like."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A received file: whose instance it is, and the SHA-256 of its dataset."""

    sop_instance_uid: str
    sha256: str


class Spooled:
    """The visible files of a spool, each read once: what is visible never changes."""

    def __init__(self, state: Path) -> None:
        self.root = state / "spool"
        self._read: dict[Path, Stored] = {}

    def files(self) -> dict[Path, Stored]:
        """All that is visible now.

        Raises:
            NotWhole: something is visible that is not whole.
        """
        found = {}
        for path in sorted((self.root / "instances").glob("*/*/*.dcm")):
            if path not in self._read:
                try:
                    self._read[path] = read(path)
                except FileNotFoundError:  # a second copy, removed since it was listed
                    continue
            found[path] = self._read[path]
        return found

    def quarantined(self) -> list[Path]:
        return sorted((self.root / "quarantine").glob("*"))

    def incoming(self) -> list[Path]:
        return sorted((self.root / "incoming").glob("*"))

    def problems(self, journal: Journal) -> Iterator[str]:
        """At any moment: what is acknowledged is here bit for bit, and nothing is here that was not sent so."""
        acknowledged = journal.snapshot()
        try:
            files = self.files()
        except NotWhole as error:
            yield str(error)
            return
        here = {stored.sop_instance_uid for stored in files.values()}
        for path, stored in files.items():
            if journal.digests.get(stored.sop_instance_uid) != stored.sha256:
                yield f"{path.name}: not what was sent as {stored.sop_instance_uid}"
        yield from (f"{uid}: acknowledged, but lost" for uid in acknowledged.keys() - here)


def read(path: Path) -> Stored:
    """Raises NotWhole, or FileNotFoundError."""
    content = path.read_bytes()
    try:
        end = _META_START + struct.unpack_from("<I", content, _META_START - 4)[0]
        uid = _meta_value(content, end, _SOP_INSTANCE_UID)
    except struct.error:
        raise NotWhole(f"{path}: cut after {len(content)} bytes") from None
    if content[128:132] != b"DICM" or end > len(content):
        raise NotWhole(f"{path}: cut after {len(content)} bytes")
    return Stored(uid, hashlib.sha256(content[end:]).hexdigest())


def _meta_value(content: bytes, end: int, number: int) -> str:
    """The text of an element of group 0002, which is Explicit VR Little Endian."""
    offset = _META_START
    while offset < end:
        _, found, vr, length = struct.unpack_from("<HH2sH", content, offset)
        start = offset + 8
        if vr in _LONG_FORMS:
            length, start = struct.unpack_from("<I", content, offset + 8)[0], offset + 12
        if found == number:
            return content[start : start + length].decode("ascii").rstrip("\0 ")
        offset = start + length
    return ""
