"""The accepting end of pynetdicom's transport: sockets that answer at once, never wait for ever, and are always closed."""

import contextlib
import socket
from socketserver import BaseServer
from typing import TYPE_CHECKING

from pynetdicom import AE
from pynetdicom.presentation import build_context
from pynetdicom.transport import AddressInformation, AssociationSocket, RequestHandler, ThreadedAssociationServer

from dicom_node.receive.association import ReceiverAssociation
from dicom_node.receive.commitment import OnCommitment
from dicom_node.receive.contexts import VERIFICATION
from dicom_node.receive.door import Door
from dicom_node.receive.storing import StoreHandler

if TYPE_CHECKING:
    from pynetdicom.association import Association

BLOCK_BYTES = 1 << 18
LARGEST_NEGOTIATION_BYTES = 1 << 20  # 128 contexts with every transfer syntax stay below
PDU_HEADER_BYTES = 6
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux


class ReceiverSocket(AssociationSocket):
    """A connected socket whose reads end: by data, by the peer, or by the network timeout."""

    def __init__(self, association: "Association", connection: socket.socket, largest_pdu_bytes: int | None) -> None:
        super().__init__(association, client_socket=connection)
        self._largest_pdu_bytes = largest_pdu_bytes

    def recv(self, nr_bytes: int) -> bytearray:
        """Read as many bytes; fewer if the peer closes.

        Raises:
            OSError: the peer is silent for too long, or announces more than it may.
        """
        connection = self.socket
        if connection is None:
            raise ConnectionResetError("the connection is closed")
        self._check(nr_bytes)
        received = bytearray()
        while (missing := nr_bytes - len(received)) > 0:
            chunk = connection.recv(min(missing, BLOCK_BYTES))
            if not chunk:
                break
            received += chunk
        if nr_bytes > PDU_HEADER_BYTES and _QUICK_ACK is not None:
            # Linux falls back to delayed acknowledgements, and a sender with Nagle on then waits 40 ms an instance.
            connection.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        return received

    def _check(self, size_bytes: int) -> None:
        largest = self._largest_pdu_bytes if self._assoc.is_established else LARGEST_NEGOTIATION_BYTES
        if largest is not None and size_bytes > max(largest, LARGEST_NEGOTIATION_BYTES):
            raise ConnectionAbortedError(f"a PDU of {size_bytes} bytes was announced; at most {largest} are taken")

    def _shutdown_socket(self) -> None:
        """Close also where the peer was faster: pynetdicom leaves the socket open there."""
        if self.socket is not None:
            close(self.socket)


class ReceiverServer(ThreadedAssociationServer):
    """Listens; every connection is served in threads of its own."""

    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def __init__(self, ae: AE, door: Door, store: StoreHandler, on_commitment: OnCommitment | None) -> None:
        self.door, self.store, self.on_commitment = door, store, on_commitment
        contexts = [build_context(VERIFICATION)]  # every association is given its own
        address = (door.settings.host, door.settings.port)
        super().__init__(ae, address, ae.ae_title, contexts, request_handler=ReceiverRequestHandler)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        connection.settimeout(self.door.settings.timeouts.network_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection, address

    def shutdown(self) -> None:
        """Stop listening; open associations go on."""
        BaseServer.shutdown(self)
        self.server_close()


class ReceiverRequestHandler(RequestHandler):
    """Makes the association of a connection."""

    server: ReceiverServer

    def _create_association(self) -> ReceiverAssociation:
        door = self.server.door
        association = ReceiverAssociation(self.ae, door, self.server.store, self.server.on_commitment)
        association._server = self.server  # noqa: SLF001
        largest = door.settings.maximum_pdu_bytes or None
        association.set_socket(ReceiverSocket(association, self.request, largest))
        association.acceptor.maximum_length = self.ae.maximum_pdu_size
        association.acceptor.ae_title = self.server.ae_title
        association.acceptor.address_info = AddressInformation.from_tuple(self.request.getsockname())
        association.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        association.acceptor.implementation_version_name = self.ae.implementation_version_name
        association.requestor.address_info = self.remote
        return association


def close(connection: socket.socket) -> None:
    """Close a socket, whatever the other end did."""
    with contextlib.suppress(OSError):  # it may have been closed there first
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
