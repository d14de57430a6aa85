"""When the disk is too full to take more: a pure decision with hysteresis, and the guard that asks the disk."""

import os
import threading
from pathlib import Path

import structlog

from dicom_node.receive.settings import Watermarks

log = structlog.get_logger()


def accepts(accepting: bool, free_bytes: int, total_bytes: int, watermarks: Watermarks) -> bool:  # noqa: FBT001
    """Whether instances are taken, given whether they were until now."""
    if accepting:
        return free_bytes >= max(watermarks.refuse_below_bytes, watermarks.refuse_below_share * total_bytes)
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
        status = os.statvfs(self._directory)
        free_bytes, total_bytes = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
        with self._lock:
            before, self._accepting = self._accepting, accepts(self._accepting, free_bytes, total_bytes, self._watermarks)
            if before and not self._accepting:
                log.error("disk nearly full, C-STORE is refused until there is room", free_bytes=free_bytes)
            elif self._accepting and not before:
                log.info("disk has room again, C-STORE is accepted", free_bytes=free_bytes)
            return self._accepting
