"""Files on stable storage: what is acknowledged is here, whole, under a name that was never used before.

```
spool/incoming/<unique>                                 being written; leftovers are dropped at the next start
spool/instances/<YYYYMMDD>/<HHMM>/<unique>-<size>.dcm   received, by the UTC minute of arrival
spool/quarantine/<unique>-<size>.dcm                    received, but no instance that can be indexed
```
The modification time of a file is the time of receipt, so that a rebuilt ledger says the same as the lost one.

**Durability.** An instance appears under instances/ in one rename, when all of it is written; then file and directory are
synchronised, and only then `commit` returns. The rename comes first because a journaling file system then needs one commit for
bytes and name, not two (docs/decisions/0018). A power cut before the end may therefore leave a name with fewer bytes than it
says: such a file was never acknowledged, and `stored_files` deletes it.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from dicom_node.receive.writeback import start_writeback

log = structlog.get_logger()

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
SUFFIX = ".dcm"
NAME_PARTS = 3  # time, random, size
WRITEBACK_BYTES = 1 << 18
MOST_BUFFERS = 1024  # IOV_MAX of Linux


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that has reached stable storage, name and all."""

    path: Path
    size_bytes: int
    received_at: float


class IncomingFile:
    """A file while it arrives: write, then either commit or discard; as a context it discards what was not committed."""

    def __init__(self, spool: "Spool", path: Path) -> None:
        self._spool = spool
        self._path = path
        self._committed = False
        self._written = self._on_its_way = 0
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, *chunks: bytes | memoryview) -> None:
        """Append.

        Raises:
            OSError: no space, a failing disk …; the file is to be discarded.
        """
        rest = [chunk for chunk in chunks if chunk]
        while rest:
            written = os.writev(self._descriptor, rest[:MOST_BUFFERS])
            self._written += written
            while rest and written >= len(rest[0]):
                written -= len(rest.pop(0))
            if written:
                rest[0] = memoryview(rest[0])[written:]
        if self._spool.durable and self._written - self._on_its_way >= WRITEBACK_BYTES:
            start_writeback(self._descriptor, self._on_its_way, self._written - self._on_its_way)
            self._on_its_way = self._written

    def commit(self) -> StoredFile:
        """Put file and name on stable storage.

        Raises:
            OSError: it could not be done; the file is to be discarded.
        """
        status = os.fstat(self._descriptor)
        self._path = self._spool.place(self._path, status.st_size, status.st_mtime)
        if self._spool.durable:
            os.fsync(self._descriptor)
            synchronise_directory(self._path.parent)
        self._close()
        self._committed = True
        return StoredFile(self._path, status.st_size, status.st_mtime)

    def discard(self) -> None:
        """Leave nothing behind, unless it was committed."""
        if self._descriptor >= 0:
            self._close()
        if not self._committed:
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)


class Spool:
    """The directory tree of received files; safe for any number of threads and processes.

    Args:
        root: its directory.
        durable: whether files are synchronised; without, a power cut may take what was acknowledged.

    Raises:
        OSError: the directories cannot be made.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.root = root.absolute()
        self.durable = durable
        self.incoming = self.root / "incoming"
        self.instances = self.root / "instances"
        self.quarantined = self.root / "quarantine"
        for directory in (self.incoming, self.instances, self.quarantined):
            make_durable_directory(directory)
        self._made: set[Path] = set()

    def open(self) -> IncomingFile:
        """A new, empty file.

        Raises:
            OSError: there is no room, or no right, to make one.
        """
        return IncomingFile(self, self.incoming / _unique())

    def place(self, path: Path, size_bytes: int, received_at: float) -> Path:
        """Rename a file that is whole to where it stays; neither is synchronised yet."""
        directory = self.instances / time.strftime("%Y%m%d/%H%M", time.gmtime(received_at))
        if directory not in self._made:
            make_durable_directory(directory)
            self._made = {*(d for d in self._made if d.parent == directory.parent), directory}
        target = directory / f"{path.name}-{size_bytes}{SUFFIX}"
        try:
            return path.rename(target)
        except FileNotFoundError:  # retention has emptied and removed the directory meanwhile
            make_durable_directory(directory)
            return path.rename(target)

    def quarantine(self, path: Path) -> Path:
        """Move a received file aside, durably. Where it lies afterwards.

        Raises:
            OSError: it could not be moved; it lies where it was.
        """
        return path if path.parent == self.quarantined else move_durably(path, self.quarantined / path.name)

    def remove(self, path: Path) -> None:
        """Delete a received file, durably; that it is gone already is fine."""
        path.unlink(missing_ok=True)
        synchronise_directory(path.parent)

    def drop_leftovers(self, unchanged_s: float = 0.0) -> int:
        """Delete what a process that is gone was still writing: never acknowledged. How many.

        Args:
            unchanged_s: only what was not written to for so long; 0 is for before receiving starts.
        """
        before, dropped = time.time() - unchanged_s, 0
        for path in sorted(self.incoming.iterdir()):
            with contextlib.suppress(FileNotFoundError):  # it was whole a moment later
                if not unchanged_s or path.stat().st_mtime < before:
                    path.unlink()
                    dropped += 1
        return dropped

    def directories(self, known: Collection[Path] = frozenset(), *, after_start: bool = False) -> Iterator[list[StoredFile]]:
        """Received files that are not known, in order of arrival, one directory (a minute) at a time; quarantine comes last.

        They are on stable storage when they are handed on: a process may have died between giving a name and synchronising.

        Args:
            known: these are left out.
            after_start: look also for known ones that a power cut tore, and delete them.
        """
        for directory in [*sorted(d for d in self.instances.glob("*/*") if d.is_dir()), self.quarantined]:
            found = list(stored_files(directory, known, check_known=after_start))
            if found and self.durable:
                synchronise_files(directory, found)
            yield found


def stored_files(directory: Path, known: Collection[Path], *, check_known: bool = False) -> Iterator[StoredFile]:
    """The files of one directory that are not known, in order of arrival; what a power cut tore is deleted."""
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        if path not in known or check_known:
            with contextlib.suppress(FileNotFoundError):  # deleted by retention since it was listed
                status = path.stat()
                if is_torn(path.name, status.st_size):
                    log.warning("a file that was never acknowledged dropped: torn by a power cut", file=path.name)
                    path.unlink()
                elif path not in known:
                    yield StoredFile(path, status.st_size, status.st_mtime)


def synchronise_files(directory: Path, files: Sequence[StoredFile]) -> None:
    """Put files and their names on stable storage; those that are gone meanwhile are left out."""
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    synchronise_directory(directory)


def is_torn(name: str, size_bytes: int) -> bool:
    """Whether a file is not as long as its name says; names of earlier versions say nothing."""
    *_, stated = name.removesuffix(SUFFIX).split("-")
    return name.count("-") == NAME_PARTS - 1 and stated.isdigit() and int(stated) != size_bytes


def move_durably(source: Path, target: Path) -> Path:
    """Rename within the spool; when it returns, the name is on stable storage; when it raises, nothing has that name."""
    source.rename(target)
    try:
        synchronise_directory(target.parent)
        synchronise_directory(source.parent)
    except OSError:
        with contextlib.suppress(OSError):
            target.rename(source)
        raise
    return target


def make_durable_directory(directory: Path) -> None:
    """Make a directory and its parents, each name on stable storage."""
    if directory.is_dir():
        return
    make_durable_directory(directory.parent)
    directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    synchronise_directory(directory.parent)


def synchronise_directory(directory: Path) -> None:
    """Put the names in a directory on stable storage."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unique() -> str:
    """A name never given before, by any process; names sort by time."""
    return f"{time.time_ns():020d}-{secrets.token_hex(6)}"
