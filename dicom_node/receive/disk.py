"""When the disk is too full to take more: a pure decision with hysteresis, and the guard that asks the disk."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from dicom_node.receive.settings import Watermarks

log = structlog.get_logger()

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Space:
    """How much room a file system has for its users."""

    free_bytes: int
    total_bytes: int

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Ask the file system of a directory.

        Raises:
            OSError: it does not answer.
        """
        status = os.statvfs(directory)
        return cls(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)


def floor_bytes(total_bytes: int, watermarks: Watermarks) -> float:
    """Free space below which instances are refused."""
    return max(watermarks.refuse_below_bytes, watermarks.refuse_below_share * total_bytes)


def accepts(accepting: bool, free_bytes: int, total_bytes: int, watermarks: Watermarks) -> bool:  # noqa: FBT001
    """Whether instances are taken, given whether they were until now."""
    if accepting:
        return free_bytes >= floor_bytes(total_bytes, watermarks)
    return free_bytes > max(watermarks.resume_above_bytes, watermarks.resume_above_share * total_bytes)


class DiskGuard:
    """Remembers on which side of the watermarks a file system is."""

    def __init__(self, directory: Path, watermarks: Watermarks) -> None:
        self._directory = directory
        self._watermarks = watermarks
        self._lock = threading.Lock()
        self._accepting = True

    def has_room(self) -> bool:
        """Whether instances are taken now.

        Raises:
            OSError: the file system does not answer.
        """
        space = Space.of(self._directory)
        with self._lock:
            before, self._accepting = (
                self._accepting,
                accepts(self._accepting, space.free_bytes, space.total_bytes, self._watermarks),
            )
            if before and not self._accepting:
                log.error("disk nearly full, C-STORE is refused until there is room", free_bytes=space.free_bytes, alarm=True)
            elif self._accepting and not before:
                log.info("disk has room again, C-STORE is accepted", free_bytes=space.free_bytes)
            return self._accepting

    def follow(self, accepting: bool) -> None:  # noqa: FBT001
        """Take over what the guard of another process remembers, so that between the watermarks all answer the same."""
        with self._lock:
            self._accepting = accepting


def file_system_of(path: Path, mounts: Path = MOUNTS) -> str:
    """The kind of file system ("ext4", "tmpfs"); empty where that is not known.

    Source: proc_pid_mountinfo(5).
    """
    try:
        device = path.stat().st_dev
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split(" ", 3)[2:3] == [wanted]:
            return after.split(" ", 1)[0]
    return ""
