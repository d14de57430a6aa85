"""Which connections are open, and how many associations they may become."""

import threading
from typing import TYPE_CHECKING

from dicom_node.receive.access import AssociationRequest, Rejection, rejection
from dicom_node.receive.settings import ReceiverSettings

if TYPE_CHECKING:
    from dicom_node.receive.association import ReceiverAssociation


class Door:
    """Lets associations in, one decision at a time, and knows who is inside."""

    def __init__(self, settings: ReceiverSettings) -> None:
        self.settings = settings
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
        with self._changed:
            if len(self._admitted) >= self.settings.max_associations:
                return Rejection.LOCAL_LIMIT_EXCEEDED
            self._admitted.add(association)
        return None

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
        """Whether the last association ended in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._admitted, timeout_s)

    def connected(self) -> list["ReceiverAssociation"]:
        """All connections that are open."""
        with self._changed:
            return list(self._connected)
