"""From accepted connections to associations: who accepts, and who serves."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable

import structlog
from pynetdicom import AE
from pynetdicom.transport import AddressInformation

from dicom_node import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.receive.association import ReceiverAssociation, Services
from dicom_node.receive.door import Census
from dicom_node.receive.settings import ReceiverSettings
from dicom_node.receive.streaming import StreamingAssociation
from dicom_node.receive.transport import ReceiverSocket, close, prepare

log = structlog.get_logger()

LOOK_S = 0.5
SILENT_S = 2.0
NO_DESCRIPTORS_WAIT_S = 0.1

Serve = Callable[[socket.socket, str, bool], None]
"""Takes a connection, the address of the peer, and whether it is one too many; the connection is the callee's to close."""


class Acceptor:
    """A thread that accepts connections on a listening socket and hands them out.

    Args:
        listening: the socket.
        keep_open: do not close it at the end.
        census: counts the connections; `serve` has it told when they end.
        serve: gets each.
    """

    def __init__(self, listening: socket.socket, census: Census, serve: Serve, *, keep_open: bool = False) -> None:
        self._listening = listening
        self._keep_open = keep_open
        self._listening.settimeout(0.0)  # another process may accept what select saw
        self._census = census
        self._serve = serve
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acceptor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Accept no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._accept()
        finally:
            if not self._keep_open:
                self._listening.close()

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listening, select.POLLIN)
        while not self._stopping.is_set():
            if not poll.poll(LOOK_S * 1000):
                continue
            try:
                connection, address = self._listening.accept()
            except (BlockingIOError, ConnectionError):
                continue
            except OSError as error:  # no descriptors, no memory: the others go on, and this one waits in the kernel
                log.error("no connection can be accepted now", errno=error.errno, alarm=True)
                self._stopping.wait(NO_DESCRIPTORS_WAIT_S)
                continue
            self._hand_out(connection, address[0])

    def _hand_out(self, connection: socket.socket, host: str) -> None:
        one_too_many = self._census.enter(host)
        if one_too_many is None:
            close(connection)
            return
        try:
            self._serve(connection, host, one_too_many)
        except Exception:  # the listener outlives whatever one connection does
            log.exception("a connection could not be served")
            self._census.leave(host)
            close(connection)


class Associations:
    """Makes an association of each connection, in a thread of its own.

    Args:
        services: what the associations use.
        gone: told the peer's address of every connection that is over.
    """

    def __init__(self, services: Services, gone: Callable[[str], None]) -> None:
        self._services = services
        self._gone = gone

    def serve(self, connection: socket.socket, host: str, is_one_too_many: bool) -> None:  # noqa: FBT001  # a `Serve`
        """Serve a connection until its end, in the background.

        Raises:
            OSError: it has ended already.
            RuntimeError: no thread can be started.
        """
        settings = self._services.door.settings
        prepare(connection, settings.timeouts.network_s)
        peer, local = connection.getpeername(), connection.getsockname()
        kind = StreamingAssociation if settings.streaming else ReceiverAssociation
        association = kind(self._services, is_one_too_many=is_one_too_many)
        largest = settings.maximum_pdu_bytes or None
        association.set_socket(ReceiverSocket(association, connection, largest, settings.timeouts.network_s))
        entity, acceptor = self._services.entity, association.acceptor
        acceptor.maximum_length = entity.maximum_pdu_size
        acceptor.ae_title = entity.ae_title
        acceptor.address_info = AddressInformation.from_tuple(local)
        acceptor.implementation_class_uid = entity.implementation_class_uid
        acceptor.implementation_version_name = entity.implementation_version_name
        association.requestor.address_info = AddressInformation.from_tuple(peer)
        association.when_gone = lambda: self._gone(host)
        association.start()

    def drain(self, drain_s: float) -> bool:
        """Let open associations end for so long; those on which nothing comes are cut sooner. Whether all ended in time."""
        deadline = time.monotonic() + drain_s
        door = self._services.door
        while (left_s := deadline - time.monotonic()) > 0:
            if door.wait_until_empty(min(LOOK_S, left_s)):
                return True
            for association in door.connected():
                if association.silent_s > SILENT_S:
                    association.interrupt()
        return door.wait_until_empty(0.0)

    def interrupt(self, wait_s: float) -> None:
        """Cut all connections, and wait for their threads."""
        left = self._services.door.connected()
        for association in left:
            association.interrupt()
        for association in left:
            with contextlib.suppress(RuntimeError):  # one that was about to start
                association.join(wait_s)


def application_entity(settings: ReceiverSettings) -> AE:
    """The node's application entity, as pynetdicom wants it."""
    entity = AE(settings.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_pdu_size = settings.maximum_pdu_bytes
    entity.maximum_associations = 2**31  # the census decides
    entity.acse_timeout = settings.timeouts.acse_s
    entity.dimse_timeout = settings.timeouts.dimse_s
    entity.network_timeout = settings.timeouts.network_s
    return entity
