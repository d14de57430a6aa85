"""The accepting end: sockets that answer at once, never wait for ever, and are always closed."""

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

from pynetdicom.transport import AddressInformation, AssociationSocket

if TYPE_CHECKING:
    from pynetdicom.association import Association

BACKLOG = 1024
BLOCK_BYTES = 1 << 18
LARGEST_NEGOTIATION_BYTES = 1 << 20  # 128 contexts with every transfer syntax stay below
PDU_HEADER_BYTES = 6
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux


class ReceiverSocket(AssociationSocket):
    """A connected socket whose reads end: by data, by the peer, or by the network timeout."""

    def __init__(
        self, association: "Association", connection: socket.socket, largest_pdu_bytes: int | None, timeout_s: float
    ) -> None:
        super().__init__(association, client_socket=connection)
        self._largest_pdu_bytes = largest_pdu_bytes
        self._timeout_s = timeout_s
        self._descriptor = connection.fileno()
        self.pushed_back = memoryview(b"")

    @property
    def ready(self) -> bool:
        """Whether there is something to read."""
        return bool(self.pushed_back) or super().ready

    def push_back(self, content: bytes) -> None:
        """Let the next reads begin with this."""
        self.pushed_back = memoryview(content)

    def read_some(self, into: memoryview) -> int | None:
        """Read what is there now, without waiting. How many bytes: 0 if the peer has closed, None if nothing is there.

        Raises:
            OSError: the connection is broken.
        """
        if self.pushed_back:
            count = min(len(into), len(self.pushed_back))
            into[:count] = self.pushed_back[:count]
            self.pushed_back = self.pushed_back[count:]
            return count
        if self.socket is None:
            return 0
        try:
            return os.readv(self._descriptor, [into])
        except BlockingIOError:
            return None

    def acknowledge_at_once(self) -> None:
        """Acknowledge what was read now: a sender with Nagle's algorithm on else waits 40 ms for Linux to do it."""
        if self.socket is not None and _QUICK_ACK is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read as many bytes; fewer if the peer closes.

        Raises:
            OSError: the peer takes too long, or announces more than it may.
        """
        connection, deadline = self.socket, time.monotonic() + self._longest_s()
        if connection is None:
            raise ConnectionResetError("the connection is closed")
        self._check(nr_bytes)
        received = bytearray(self.pushed_back[:nr_bytes])
        self.pushed_back = self.pushed_back[nr_bytes:]
        while (missing := nr_bytes - len(received)) > 0:
            if time.monotonic() > deadline:
                raise TimeoutError("the peer takes too long for one PDU")
            chunk = connection.recv(min(missing, BLOCK_BYTES))
            if not chunk:
                break
            received += chunk
        if nr_bytes > PDU_HEADER_BYTES:
            self.acknowledge_at_once()
        return received

    def _longest_s(self) -> float:
        return (
            self._timeout_s if self._assoc.is_established else min(self._timeout_s, self._assoc.acse_timeout or self._timeout_s)
        )

    def _check(self, size_bytes: int) -> None:
        largest = self._largest_pdu_bytes if self._assoc.is_established else LARGEST_NEGOTIATION_BYTES
        if largest is not None and size_bytes > max(largest, LARGEST_NEGOTIATION_BYTES):
            raise ConnectionAbortedError(f"a PDU of {size_bytes} bytes was announced; at most {largest} are taken")

    def _shutdown_socket(self) -> None:
        """Close also where the peer was faster: pynetdicom leaves the socket open there."""
        if self.socket is not None:
            close(self.socket)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 lets the system choose.

    Raises:
        OSError: the port is taken, or the address is none of this machine.
    """
    address = AddressInformation(host, port)
    return socket.create_server(address.as_tuple[:2], family=address.address_family, backlog=BACKLOG)


def prepare(connection: socket.socket, timeout_s: float) -> None:
    """Set up an accepted connection.

    Raises:
        OSError: it has ended meanwhile.
    """
    connection.settimeout(timeout_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def close(connection: socket.socket) -> None:
    """Close a socket, whatever the other end did."""
    with contextlib.suppress(OSError):  # it may have been closed there first
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
