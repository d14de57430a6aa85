"""The receiver: Verification SCP, Storage SCP, and the ear for storage commitment reports. Started, drained, stopped."""

import socket
from collections.abc import Callable
from typing import Self

import structlog

from dicom_node.errors import TransientError
from dicom_node.receive.association import Services
from dicom_node.receive.commitment import OnCommitment
from dicom_node.receive.connections import Acceptor, Associations, application_entity
from dicom_node.receive.door import Census, Door
from dicom_node.receive.settings import ReceiverSettings
from dicom_node.receive.storing import StoreHandler
from dicom_node.receive.transport import listen

log = structlog.get_logger()

CLOSE_S = 5.0


class Receiver:
    """Listens between `start` and `stop`, in the process that calls; `ReceiverPool` does the same in several.

    Args:
        settings: how, and to whom.
        store: takes the instances; `SpoolStore` in production.
        on_commitment: keeps a storage commitment report durably before it returns, or raises a `NodeError` and the PACS is
            told 0110H; without it reports are refused.
        congestion: why nothing can be stored now; empty if it can.
        listening: a socket that listens already (systemd's); without, one is made, and closed at the end.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        store: StoreHandler,
        on_commitment: OnCommitment | None = None,
        congestion: Callable[[], str] = str,
        listening: socket.socket | None = None,
    ) -> None:
        self.settings = settings
        self._door = Door(settings, congestion)
        self._census = Census(settings)
        services = Services(application_entity(settings), self._door, store, on_commitment)
        self._associations = Associations(services, self._census.leave)
        self._given = listening
        self._listening: socket.socket | None = None
        self._acceptor: Acceptor | None = None

    def start(self) -> Self:
        """Listen: when this returns, associations are accepted.

        Raises:
            TransientError: the port is taken, or the address is none of this machine.
        """
        self._listening = self._given or open_port(self.settings)
        keep_open = self._given is not None
        self._acceptor = Acceptor(self._listening, self._census, self._associations.serve, keep_open=keep_open)
        self._acceptor.start()
        log.info("receiving", ae_title=self.settings.ae_title, host=self.address[0], port=self.address[1])
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on.

        Raises:
            TransientError: it was not started.
        """
        return address_of(self._listening)

    @property
    def is_listening(self) -> bool:
        """Whether the thread that accepts connections lives: for readiness and the watchdog."""
        return self._acceptor is not None and self._acceptor.is_alive

    @property
    def association_count(self) -> int:
        """How many associations are open now."""
        return self._door.association_count

    def stop(self, drain_s: float = 0.0) -> None:
        """Accept no more, let open associations end for so long, then close them. Nothing acknowledged is lost by that."""
        if self._acceptor is None:
            return
        self._acceptor.stop()
        self._acceptor = self._listening = None
        if not self._associations.drain(drain_s):
            log.warning("associations closed before their end", count=self._door.association_count)
        self._associations.interrupt(CLOSE_S)
        log.info("receiving ended")


def address_of(listening: socket.socket | None) -> tuple[str, int]:
    """Host and port of a socket that listens.

    Raises:
        TransientError: there is none.
    """
    if listening is None:
        raise TransientError("the receiver is not started")
    host, port, *_ = listening.getsockname()
    return host, port


def open_port(settings: ReceiverSettings) -> socket.socket:
    """The node's port.

    Raises:
        TransientError: it is taken, or the address is none of this machine.
    """
    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host or '*'}:{settings.port}"
        raise TransientError(f"cannot listen on {where} ({error.strerror or error}): is another node running there?") from error
