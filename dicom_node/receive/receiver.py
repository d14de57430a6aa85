"""The receiver: Verification SCP, Storage SCP, and the ear for storage commitment reports. Started, drained, stopped."""

import sys
import threading
import time
from typing import Self

import structlog
from pynetdicom import AE

from dicom_node import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.errors import TransientError
from dicom_node.receive.commitment import OnCommitment
from dicom_node.receive.door import Door
from dicom_node.receive.settings import ReceiverSettings
from dicom_node.receive.storing import StoreHandler
from dicom_node.receive.transport import ReceiverServer

log = structlog.get_logger()

ACCEPT_POLL_S = 0.1
CLOSE_S = 5.0


class Receiver:
    """Listens between `start` and `stop`.

    Args:
        settings: how, and to whom.
        store: takes the instances; `SpoolStore` in production.
        on_commitment: keeps a storage commitment report durably before it returns, or raises a `NodeError` and the PACS is
            told 0110H; without it reports are refused.
    """

    def __init__(self, settings: ReceiverSettings, store: StoreHandler, on_commitment: OnCommitment | None = None) -> None:
        self.settings = settings
        self._store = store
        self._on_commitment = on_commitment
        self._door = Door(settings)
        self._server: ReceiverServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Listen: when this returns, associations are accepted.

        Raises:
            TransientError: the port is taken, or the address is none of this machine.
        """
        try:
            server = ReceiverServer(_application_entity(self.settings), self._door, self._store, self._on_commitment)
        except OSError as error:
            where = f"{self.settings.host or '*'}:{self.settings.port}"
            raise TransientError(
                f"cannot listen on {where} ({error.strerror or error}): is another node running there?"
            ) from error
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(ACCEPT_POLL_S,), name="receiver", daemon=True)
        self._thread.start()
        log.info("receiving", ae_title=self.settings.ae_title, host=self.address[0], port=self.address[1])
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on.

        Raises:
            TransientError: it was not started.
        """
        if self._server is None:
            raise TransientError("the receiver is not started")
        host, port, *_ = self._server.server_address
        return host, port

    @property
    def is_listening(self) -> bool:
        """Whether the thread that accepts connections lives: for readiness and the watchdog."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def association_count(self) -> int:
        """How many associations are open now."""
        return self._door.association_count

    def stop(self, drain_s: float = 0.0) -> None:
        """Accept no more, let open associations end for so long, then close them. Nothing acknowledged is lost by that."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        if not self._door.wait_until_empty(drain_s):
            log.warning("associations closed before their end", count=self._door.association_count)
        left, deadline = self._door.connected(), time.monotonic() + CLOSE_S
        for association in left:
            association.interrupt()
        for association in left:
            association.join(max(0.0, deadline - time.monotonic()))
        log.info("receiving ended")


def _application_entity(settings: ReceiverSettings) -> AE:
    entity = AE(settings.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_pdu_size = settings.maximum_pdu_bytes
    entity.maximum_associations = sys.maxsize  # the door decides
    entity.acse_timeout = settings.timeouts.acse_s
    entity.dimse_timeout = settings.timeouts.dimse_s
    entity.network_timeout = settings.timeouts.network_s
    return entity
