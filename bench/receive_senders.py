"""The fast sender: PDUs made beforehand, one write for each instance, TCP_NODELAY, one answer awaited before the next.

Runs as a process of its own, in three steps, each begun by a line on standard input:

    warm     short associations with an instance each, so that what a receiver loads late is loaded   prints WARM
    connect  the associations that are measured are opened                                            prints READY
    send     all of them at once; times and statuses                                                  prints JSON

A last line lets it release. `raw` sends the same bytes behind a small header instead of DICOM (bench.receive_limits).
"""

import argparse
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bench.receive_samples import Sample, read_index

CALLED, CALLING = b"DICOM-NODE", b"BENCH"
HOST = "127.0.0.1"
TIMEOUT_S = 120.0
RAW_HEADER = struct.Struct(">Q64s")
"""Length and name of what follows; one byte answers."""
_ASSOCIATE_AC, _MAXIMUM_LENGTH = 2, b"\x51\x00\x00\x04"


class Association:
    """An association with what it is going to send, ready as bytes.

    Source: DICOM PS3.8 9.3.
    """

    def __init__(self, port: int, samples: Sequence[Sample]) -> None:
        self.latencies_s: list[float] = []
        self.statuses: list[int] = []
        self.ended = 0.0
        self._socket = _connect(port)
        pairs = sorted({(sample.sop_class_uid, sample.transfer_syntax_uid) for sample in samples})
        contexts = {pair: 2 * index + 1 for index, pair in enumerate(pairs)}
        self._socket.sendall(_associate_rq(contexts))
        kind, body = self._receive_pdu()
        if kind != _ASSOCIATE_AC:
            raise ConnectionError(f"the association was answered by a PDU of type {kind}: {body.hex()}")
        at = body.find(_MAXIMUM_LENGTH)
        longest = struct.unpack_from(">I", body, at + 4)[0] if at >= 0 else 0
        self._messages = [
            _c_store(contexts[sample.sop_class_uid, sample.transfer_syntax_uid], sample, number, longest)
            for number, sample in enumerate(samples, 1)
        ]

    def send(self) -> None:
        """Everything, one after the other; then ask for release, because some receivers wait for an idle association."""
        for message in self._messages:
            begun = time.perf_counter()
            self._socket.sendall(message)
            _, body = self._receive_pdu()
            self.ended = time.perf_counter()
            self.latencies_s.append(self.ended - begun)
            self.statuses.append(_status(body))
        self._socket.sendall(struct.pack(">BBI", 5, 0, 4) + bytes(4))

    def close(self) -> None:
        """Await the release."""
        self._receive_pdu()
        self._socket.close()

    def _receive_pdu(self) -> tuple[int, bytes]:
        head = self._receive(6)
        kind, _, length = struct.unpack(">BBI", head)
        return kind, self._receive(length)

    def _receive(self, length: int) -> bytes:
        received = self._socket.recv(length)
        while len(received) < length:
            more = self._socket.recv(length - len(received))
            if not more:
                raise ConnectionError("the receiver closed the connection")
            received += more
        return received


class RawConnection:
    """The same bytes without DICOM: a header, the dataset, one byte as the answer."""

    def __init__(self, port: int, samples: Sequence[Sample]) -> None:
        self.latencies_s: list[float] = []
        self.statuses: list[int] = []
        self.ended = 0.0
        self._socket = _connect(port)
        self._messages = [RAW_HEADER.pack(s.size_bytes, s.sop_instance_uid.encode()) + s.dataset() for s in samples]

    def send(self) -> None:
        for message in self._messages:
            begun = time.perf_counter()
            self._socket.sendall(message)
            answer = self._socket.recv(1)
            self.ended = time.perf_counter()
            self.latencies_s.append(self.ended - begun)
            self.statuses.append(0 if answer == b"k" else 1)

    def close(self) -> None:
        self._socket.close()


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port), timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _associate_rq(contexts: dict[tuple[str, str], int]) -> bytes:
    items = _item(0x10, b"1.2.840.10008.3.1.1.1")
    for (abstract_syntax, transfer_syntax), identifier in contexts.items():
        syntaxes = _item(0x30, abstract_syntax.encode()) + _item(0x40, transfer_syntax.encode())
        items += _item(0x20, bytes((identifier, 0, 0, 0)) + syntaxes)
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.826.0.1.3680043.10.999.9") + _item(0x55, b"BENCH")
    body = struct.pack(">HH", 1, 0) + CALLED.ljust(16) + CALLING.ljust(16) + bytes(32) + items + _item(0x50, user)
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _c_store(context: int, sample: Sample, message_id: int, longest_pdu: int) -> bytes:
    """C-STORE-RQ and dataset as P-DATA-TF PDUs of the length that the receiver asked for.

    Source: DICOM PS3.7 9.3.1.
    """
    command = b"".join(
        _element(element, value)
        for element, value in (
            (0x0002, sample.sop_class_uid.encode()),
            (0x0100, struct.pack("<H", 1)),
            (0x0110, struct.pack("<H", message_id % 65000)),
            (0x0700, struct.pack("<H", 0)),
            (0x0800, struct.pack("<H", 1)),
            (0x1000, sample.sop_instance_uid.encode()),
        )
    )
    command = _element(0, struct.pack("<I", len(command))) + command
    parts: list[bytes | memoryview] = [_p_data(context, 3, len(command)), command]
    dataset, length = memoryview(sample.dataset()), (longest_pdu or 1 << 30) - 6
    for start in range(0, len(dataset), length):
        part = dataset[start : start + length]
        parts += [_p_data(context, 2 if start + length >= len(dataset) else 0, len(part)), part]
    return b"".join(parts)


def _p_data(context: int, control: int, length: int) -> bytes:
    return struct.pack(">BBIIBB", 4, 0, length + 6, length + 2, context, control)


def _element(element: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, element, len(value)) + value


def _status(body: bytes) -> int:
    """(0000,0900) of the C-STORE-RSP in this P-DATA-TF PDU; -1 if there is none."""
    at = 6
    while at + 8 <= len(body):
        _, element, length = struct.unpack_from("<HHI", body, at)
        if element == 0x0900:
            return int.from_bytes(body[at + 8 : at + 10], "little")
        at += 8 + length
    return -1


class Sending(Protocol):
    """What all associations, and the loops in place of them, have measured."""

    latencies_s: list[float]
    statuses: list[int]
    ended: float

    def send(self) -> None:
        """Send everything and keep how long each instance took."""

    def close(self) -> None:
        """Do what is not measured."""


def step(name: str) -> None:
    """Say that the step has ended, and wait to be told to go on."""
    print(name, flush=True)
    sys.stdin.readline()


def at_once(sendings: Sequence[Sending], name: str = "") -> None:
    """Run all of them, each in a thread; the step is named, or is what they measured as JSON.

    Each is closed as soon as it has sent, and that is not waited for: a receiver may have to see one close before it
    goes on with another.
    """
    sent = threading.Semaphore(0)
    threads = [threading.Thread(target=_send_and_close, args=(sending, sent)) for sending in sendings]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for _ in threads:
        sent.acquire()
    if not name:
        step(_measured(sendings, begun))
    for thread in threads:
        thread.join()
    if name:
        step(name)


def _send_and_close(sending: Sending, sent: threading.Semaphore) -> None:
    try:
        sending.send()
    finally:
        sent.release()
    sending.close()


def _measured(sendings: Sequence[Sending], begun: float) -> str:
    latencies = sorted(latency for sending in sendings for latency in sending.latencies_s)
    answer = {
        "seconds": max(sending.ended for sending in sendings) - begun,
        "stored": sum(sending.statuses.count(0) for sending in sendings),
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
    }
    return json.dumps(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("dicom", "raw"))
    parser.add_argument("port", type=int)
    parser.add_argument("associations", type=int)
    parser.add_argument("data", type=Path)
    parser.add_argument("first", type=int, help="the first instance of the data that is measured")
    parser.add_argument("count", type=int, help="instances that are measured")
    parser.add_argument("--warm", type=Path, required=True, help="data whose first instances warm up")
    options = parser.parse_args()
    connection: type[Association | RawConnection] = Association if options.kind == "dicom" else RawConnection
    measured = read_index(options.data)[options.first :][: options.count]
    at_once([connection(options.port, [sample]) for sample in read_index(options.warm)[: options.associations]], "WARM")
    if not measured:
        return
    opened = [connection(options.port, measured[index :: options.associations]) for index in range(options.associations)]
    step("READY")
    at_once(opened)


if __name__ == "__main__":
    main()
