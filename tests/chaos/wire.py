"""DICOM's upper layer in plain bytes, so that a sender can stop, err or lie at any one of them.

Source: DICOM PS3.8 9.3 (PDUs), PS3.7 9.3.1 (C-STORE) and E.1 (command elements, Implicit VR Little Endian).
"""

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION = "1.2.826.0.1.3680043.10.1999.7"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
HEADER_BYTES = 6
PDV_HEADER_BYTES = 6
FRAGMENT_BYTES = 32768
C_STORE_RQ, C_ECHO_RQ = 0x0001, 0x0030
COMMAND, LAST = 1, 2
"""Bits of a PDV's message control header."""

Context = tuple[str, Sequence[str]]
"""Abstract syntax and transfer syntaxes; identifiers are 1, 3, 5 … in their order."""


class Gone(Exception):
    """The association is over: rejected, aborted, closed, or silent for too long."""


class Rejected(Gone):
    """A-ASSOCIATE-RJ."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        super().__init__(f"rejected ({result}, {source}, {reason})")
        self.is_transient = result == 2


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def associate_rq(called: str, calling: str, contexts: Sequence[Context], largest_pdu: int = 16384) -> bytes:
    body = struct.pack(">H2x", 1) + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
    body += item(0x10, APPLICATION_CONTEXT.encode())
    for number, (abstract, transfers) in enumerate(contexts):
        content = struct.pack(">B3x", 2 * number + 1) + item(0x30, abstract.encode())
        body += item(0x20, content + b"".join(item(0x40, uid.encode()) for uid in transfers))
    user = item(0x51, struct.pack(">I", largest_pdu)) + item(0x52, IMPLEMENTATION.encode()) + item(0x55, b"CHAOS")
    return pdu(ASSOCIATE_RQ, body + item(0x50, user))


def element(group: int, number: int, value: bytes) -> bytes:
    padded = value + b"\0" * (len(value) % 2)
    return struct.pack("<HHI", group, number, len(padded)) + padded


def command(elements: Sequence[tuple[int, bytes]]) -> bytes:
    """A command set of elements of group 0000, with its group length."""
    content = b"".join(element(0, number, value) for number, value in elements)
    return element(0, 0, struct.pack("<I", len(content))) + content


def us(value: int) -> bytes:
    return struct.pack("<H", value)


def c_store_rq(sop_class_uid: str, sop_instance_uid: str, message_id: int) -> bytes:
    return command(
        [
            (0x0002, sop_class_uid.encode()),
            (0x0100, us(C_STORE_RQ)),
            (0x0110, us(message_id)),
            (0x0700, us(0)),
            (0x0800, us(1)),
            (0x1000, sop_instance_uid.encode()),
        ]
    )


def c_echo_rq(message_id: int) -> bytes:
    return command([(0x0002, VERIFICATION.encode()), (0x0100, us(C_ECHO_RQ)), (0x0110, us(message_id)), (0x0800, us(0x0101))])


def p_data(context_id: int, control: int, fragment: bytes) -> bytes:
    return pdu(P_DATA, struct.pack(">IBB", len(fragment) + 2, context_id, control) + fragment)


def message(context_id: int, command_set: bytes, dataset: bytes = b"", fragment_bytes: int = FRAGMENT_BYTES) -> Iterator[bytes]:
    """The P-DATA-TF PDUs of a message, each with one PDV."""
    yield p_data(context_id, COMMAND | LAST, command_set)
    for start in range(0, len(dataset), fragment_bytes):
        last = start + fragment_bytes >= len(dataset)
        yield p_data(context_id, LAST if last else 0, dataset[start : start + fragment_bytes])


def command_values(command_set: bytes) -> dict[int, bytes]:
    """Element number to value of a command set."""
    found, offset = {}, 0
    while offset + 8 <= len(command_set):
        _, number, length = struct.unpack_from("<HHI", command_set, offset)
        found[number] = command_set[offset + 8 : offset + 8 + length]
        offset += 8 + length
    return found


@dataclass(slots=True)
class Connection:
    """An association that a test opened, byte by byte."""

    socket: socket.socket
    largest_pdu: int = FRAGMENT_BYTES
    message_id: int = 0

    @classmethod
    def open(cls, address: tuple[str, int], timeout_s: float = 30.0) -> Self:
        """Connect, no more.

        Raises:
            Gone: nobody answers.
        """
        try:
            connection = socket.create_connection(address, timeout_s)
        except OSError as error:
            raise Gone(f"no connection ({error})") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def associate(self, called: str, calling: str, contexts: Sequence[Context]) -> Self:
        """Ask for the contexts; all must be accepted.

        Raises:
            Gone: the association was refused.
        """
        self.send(associate_rq(called, calling, contexts))
        kind, body = self.read_pdu()
        if kind == ASSOCIATE_RJ:
            raise Rejected(*body[1:4])
        if kind != ASSOCIATE_AC:
            raise Gone(f"PDU type {kind} in place of an answer")
        self._read_answer(body[68:])
        return self

    def _read_answer(self, items: bytes) -> None:
        offset = 0
        while offset + 4 <= len(items):
            kind, length = struct.unpack_from(">BxH", items, offset)
            content = items[offset + 4 : offset + 4 + length]
            if kind == 0x21 and content[2] != 0:
                raise Gone(f"presentation context {content[0]} was not accepted ({content[2]})")
            if kind == 0x50 and content[:1] == b"\x51":
                announced = struct.unpack_from(">I", content, 4)[0]
                self.largest_pdu = min(announced or FRAGMENT_BYTES, 1 << 20)
            offset += 4 + length

    def send(self, content: bytes) -> None:
        """Raises Gone where the other end does not take it."""
        try:
            self.socket.sendall(content)
        except OSError as error:
            raise Gone(f"not sent ({error})") from error

    def read_pdu(self) -> tuple[int, bytes]:
        """Type and body of the next PDU.

        Raises:
            Gone: there is none, or it is an A-ABORT.
        """
        kind, length = struct.unpack(">BxI", self._read(HEADER_BYTES))
        body = self._read(length)
        if kind == ABORT:
            raise Gone(f"aborted ({body[2]}, {body[3]})")
        return kind, body

    def _read(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            try:
                chunk = self.socket.recv(count - len(received))
            except OSError as error:
                raise Gone(f"no answer ({error})") from error
            if not chunk:
                raise Gone("closed")
            received += chunk
        return bytes(received)

    def store(self, context_id: int, sop_class_uid: str, sop_instance_uid: str, dataset: bytes, fragment_bytes: int) -> int:
        """C-STORE to its end; the status.

        Raises:
            Gone: the answer never came.
        """
        self.message_id = self.message_id % 0xFFFF + 1
        request = c_store_rq(sop_class_uid, sop_instance_uid, self.message_id)
        fitting = min(fragment_bytes, self.largest_pdu - PDV_HEADER_BYTES)
        for part in message(context_id, request, dataset, fitting):
            self.send(part)
        return self.read_status()

    def echo(self, context_id: int) -> int:
        """C-ECHO; the status."""
        self.message_id = self.message_id % 0xFFFF + 1
        self.send(p_data(context_id, COMMAND | LAST, c_echo_rq(self.message_id)))
        return self.read_status()

    def read_status(self) -> int:
        """The status of the response to the message that was sent last.

        Raises:
            Gone: it is no response to that.
        """
        command_set = b""
        while True:
            kind, body = self.read_pdu()
            if kind != P_DATA:
                raise Gone(f"PDU type {kind} in place of a response")
            command_set += body[PDV_HEADER_BYTES:]
            if body[5] & LAST:
                break
        values = command_values(command_set)
        if struct.unpack("<H", values[0x0120])[0] != self.message_id:
            raise Gone("a response to another message")
        return int(struct.unpack("<H", values[0x0900])[0])

    def release(self) -> None:
        """A-RELEASE, and close."""
        try:
            self.send(pdu(RELEASE_RQ, bytes(4)))
            self.read_pdu()
        finally:
            self.socket.close()

    def abort(self) -> None:
        """A-ABORT, and close."""
        try:
            self.send(pdu(ABORT, bytes(4)))
        finally:
            self.socket.close()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
