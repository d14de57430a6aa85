"""What the senders know: every attempt, and what was acknowledged. The verdict believes this and the disk, never the node."""

import hashlib
import json
import threading
from collections import Counter
from pathlib import Path

from tests.chaos.studies import Outgoing

SUCCESS = 0x0000
NO_ANSWER = -1


class Journal:
    """Safe for any number of senders; every line is also in a file, for whoever looks into a failure."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = path.open("a")
        self.digests: dict[str, str] = {}
        """SHA-256 of all that was sent, wholly or in part, by SOP Instance UID."""
        self.acknowledged: dict[str, Outgoing] = {}
        self.statuses: Counter[int] = Counter()
        self.repeated = 0
        """How many were sent again although they had been acknowledged."""
        self.rejections = 0
        """How many associations were rejected for the moment."""

    def close(self) -> None:
        self._file.close()

    def begin(self, outgoing: Outgoing, dataset: bytes) -> None:
        """Its first byte is about to leave: from now on the node may hold it."""
        with self._lock:
            self.repeated += outgoing.sop_instance_uid in self.acknowledged
            self.digests[outgoing.sop_instance_uid] = hashlib.sha256(dataset).hexdigest()

    def end(self, outgoing: Outgoing, status: int) -> None:
        """The status that came back; NO_ANSWER if none did."""
        with self._lock:
            self.statuses[status] += 1
            if status == SUCCESS:
                self.acknowledged[outgoing.sop_instance_uid] = outgoing
            line = [outgoing.sop_instance_uid, self.digests[outgoing.sop_instance_uid], status]
            self._file.write(json.dumps(line) + "\n")

    def reject(self) -> None:
        """An association was rejected for the moment."""
        with self._lock:
            self.rejections += 1

    def refused(self) -> int:
        """How often the node said that it cannot now: by a status, or by rejecting an association."""
        return sum(self.refusals().values()) + self.rejections

    def count(self, status: int = SUCCESS) -> int:
        """How often this status came."""
        with self._lock:
            return self.statuses[status]

    def snapshot(self) -> dict[str, Outgoing]:
        """What is acknowledged now."""
        with self._lock:
            return dict(self.acknowledged)

    def refusals(self) -> dict[int, int]:
        """How often each status but success came."""
        with self._lock:
            return {status: count for status, count in self.statuses.items() if status not in (SUCCESS, NO_ANSWER)}
