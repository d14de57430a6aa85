"""When the node takes no more for a while: the disk nearly full, or too much that waits for its row in the ledger.

Senders are told so in ways that make them try again: A700H for an instance, a transient rejection for an association.
"""

import threading

import structlog

from dicom_node.receive.disk import DiskGuard

log = structlog.get_logger()

REOPEN_SHARE = 0.8


class Backpressure:
    """Why instances are refused now, if they are.

    Args:
        guard: knows the disk.
        max_unindexed: as many files may wait for their row; below four fifths of it instances are taken again.
    """

    def __init__(self, guard: DiskGuard, max_unindexed: int) -> None:
        self._guard = guard
        self._max_unindexed = max_unindexed
        self._lock = threading.Lock()
        self._behind = False

    def report_backlog(self, unindexed: int) -> bool:
        """Say how many files wait. Whether that is too much."""
        with self._lock:
            before = self._behind
            self._behind = unindexed > self._max_unindexed * (REOPEN_SHARE if before else 1.0)
            if self._behind and not before:
                log.error("the ledger is behind, C-STORE is refused until it has caught up", unindexed=unindexed, alarm=True)
            elif before and not self._behind:
                log.info("the ledger has caught up, C-STORE is accepted", unindexed=unindexed)
            return self._behind

    def has_room(self) -> bool:
        """Whether the disk takes more; one that does not answer does not."""
        try:
            return self._guard.has_room()
        except OSError:
            return False

    def follow(self, unindexed: int, *, has_room: bool) -> None:
        """Heed what the process says that counts for all."""
        self.report_backlog(unindexed)
        self._guard.follow(has_room)

    def reason(self) -> str:
        """Why nothing is taken now; empty if it is.

        Raises:
            OSError: the file system does not answer.
        """
        if self._behind:
            return "too many instances wait to be indexed"
        return "" if self._guard.has_room() else "disk nearly full"
