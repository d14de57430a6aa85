"""Which connections are open, how many they may be, and which of them become associations."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from dicom_node.receive.access import AssociationRequest, Rejection, rejection
from dicom_node.receive.settings import ReceiverSettings

if TYPE_CHECKING:
    from dicom_node.receive.association import ReceiverAssociation

log = structlog.get_logger()

HARD_LIMIT_FACTOR = 2
NEGOTIATION_S = 5.0


class Census:
    """Counts the connections of a port, in all and of each network address, over all processes that serve it."""

    def __init__(self, settings: ReceiverSettings) -> None:
        self._most = settings.max_associations
        self._most_of_one = settings.max_associations_per_peer
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> bool | None:
        """A connection came. Whether it is one too many, to be rejected; None if there are so many that it is to be closed."""
        with self._lock:
            total = self._open.total()
            if total >= HARD_LIMIT_FACTOR * self._most:
                return None
            self._open[address] += 1
            return total >= self._most or self._open[address] > self._most_of_one

    def leave(self, address: str) -> None:
        """A connection that had entered is over."""
        with self._lock:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    @property
    def count(self) -> int:
        """How many connections are open."""
        with self._lock:
            return self._open.total()


class Door:
    """Lets associations in, one decision at a time, and knows who is inside.

    Args:
        settings: who may come.
        congestion: why nothing can be stored now; empty if it can.
    """

    def __init__(self, settings: ReceiverSettings, congestion: Callable[[], str] = str) -> None:
        self.settings = settings
        self._congestion = congestion
        self._changed = threading.Condition()
        self._connected: set[ReceiverAssociation] = set()
        self._admitted: set[ReceiverAssociation] = set()

    def connect(self, association: "ReceiverAssociation") -> None:
        """A connection was accepted; it is no association yet."""
        with self._changed:
            self._connected.add(association)

    def admit(self, association: "ReceiverAssociation", request: AssociationRequest) -> Rejection | None:
        """Let it in, or say why not."""
        refused = rejection(request, self.settings)
        if refused is not None:
            return refused
        if association.is_one_too_many:
            return Rejection.LOCAL_LIMIT_EXCEEDED
        if request.wants_to_store and self._congested():
            return Rejection.TEMPORARY_CONGESTION
        with self._changed:
            self._admitted.add(association)
        return None

    def _congested(self) -> bool:
        try:
            return bool(self._congestion())
        except OSError as error:
            log.error("the file system of the spool does not answer", errno=error.errno, alarm=True)
            return True

    def leave(self, association: "ReceiverAssociation") -> None:
        """The connection is over."""
        with self._changed:
            self._connected.discard(association)
            self._admitted.discard(association)
            self._changed.notify_all()

    @property
    def association_count(self) -> int:
        """How many associations are open."""
        with self._changed:
            return len(self._admitted)

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Whether the last association ended in time. Connections that are no association yet may become one for a moment."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._changed.wait_for(lambda: not self._connected, min(timeout_s, NEGOTIATION_S))
            return self._changed.wait_for(lambda: not self._admitted, max(0.0, deadline - time.monotonic()))

    def connected(self) -> list["ReceiverAssociation"]:
        """All connections that are open."""
        with self._changed:
            return list(self._connected)
