"""Clients that vanish or attack, processes that are killed, instances that do not fit into memory."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicom_node.receive import Spool
from dicom_node.receive.web import WebReceiver, server
from tests.dicom_node.receive.web.stow import (
    MULTIPART,
    begin,
    being_written,
    body,
    dataset_of,
    datasets,
    files,
    instance,
    post,
)
from tests.pacs_servers import wait_until

StartWeb = Callable[..., WebReceiver]
Process = subprocess.Popen[str]
StartProgram = Callable[[], tuple[Process, tuple[str, int]]]
ROOT = Path(__file__).parents[4]
LARGE_BYTES = 150_000_000


@pytest.fixture
def start_program(spool: Spool) -> Iterator[StartProgram]:
    running: list[Process] = []

    def start() -> tuple[Process, tuple[str, int]]:
        command = [sys.executable, str(Path(__file__).parent / "web_program.py"), str(spool.root)]
        running.append(subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True))
        assert running[-1].stderr is not None
        return running[-1], ("127.0.0.1", int(running[-1].stderr.readline()))

    yield start
    for process in running:
        process.kill()
        process.communicate()


def resident_bytes(process: Process, row: str = "VmHWM") -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(rf"{row}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def large_body() -> Iterator[bytes]:
    head, tail = body([instance(pixels=b"MARK" * 4)]).split(b"MARK" * 4)
    length = (LARGE_BYTES).to_bytes(4, "little")
    yield head[:-4] + length
    for _ in range(LARGE_BYTES // 1_000_000):
        yield bytes(1_000_000)
    yield tail


@pytest.mark.parametrize("path", ["/studies", "/studies/1.2.826.0.1.3680043.10.1999.7"])
def test_a_large_instance_is_received_in_flat_memory(start_program: StartProgram, spool: Spool, path: str) -> None:
    process, address = start_program()
    assert post(address, body([instance(2, bytes(1_000_000))])).status == 200
    before = resident_bytes(process)
    assert post(address, large_body(), path).status == 200
    assert resident_bytes(process) - before < 16_000_000
    assert max(file.stat().st_size for file in files(spool)) > LARGE_BYTES


def test_a_process_that_is_killed_leaves_what_it_acknowledged_only(start_program: StartProgram, spool: Spool) -> None:
    process, address = start_program()
    assert post(address, body([instance(1)])).status == 200
    with begin(address, body([instance(2), instance(3, bytes(600_000))])[:500_000]):
        wait_until(lambda: bool(being_written(spool)), "a file is being written")
        process.send_signal(signal.SIGKILL)
        process.wait()
    _, again = start_program()
    assert not being_written(spool)
    assert dataset_of(instance(1)) in datasets(spool)
    assert set(datasets(spool)) <= {dataset_of(instance(1)), dataset_of(instance(2))}
    assert post(again, body([instance(3)])).status == 200


def test_a_program_that_is_told_to_end_does(start_program: StartProgram) -> None:
    process, address = start_program()
    assert post(address, body([instance(1)])).status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


@pytest.mark.parametrize("sent", [10, 150, 600, 300_000, 601_000])
def test_a_client_that_vanishes_leaves_nothing(web: WebReceiver, spool: Spool, sent: int) -> None:
    with begin(web.address, body([instance(1, bytes(600_000))])[:sent]):
        if sent > 262_144:
            wait_until(lambda: bool(being_written(spool)), "a file is being written")
    wait_until(lambda: not being_written(spool), "nothing is left")
    assert post(web.address, body([instance(2)])).status == 200
    assert datasets(spool) == [dataset_of(instance(2))]


def test_a_stop_that_does_not_wait_leaves_nothing(start_web: StartWeb, spool: Spool) -> None:
    web = start_web()
    with begin(web.address, body([instance(1, bytes(600_000))])[:500_000]):
        wait_until(lambda: bool(being_written(spool)), "a file is being written")
        web.stop()
    assert not web.is_listening
    wait_until(lambda: not being_written(spool), "nothing is left")
    assert not files(spool)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0\1\2\3" * 20_000,
        b"POST /studies HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
        b"POST /studies HTTP/1.1\r\nX: " + b"y" * 200_000,
        b"GET " + b"/" * 200_000,
        b"POST /studies HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /studies HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        f"POST /studies HTTP/1.1\r\nHost: a\r\nContent-Type: {MULTIPART}\r\n".encode()
        + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
    ids=["noise", "headers", "long header", "long path", "encoding", "negative", "chunk"],
)
def test_what_is_no_http_is_refused(
    web: WebReceiver, spool: Spool, request_bytes: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(web.address, timeout=20) as connection:
        try:
            connection.sendall(request_bytes)
            answer = connection.recv(4096)
        except ConnectionError:  # closed while we were still talking
            answer = b""
    assert not answer or re.match(rb"HTTP/1.1 [45]\d\d", answer)
    assert "Traceback" not in "".join(capfd.readouterr())
    assert post(web.address, body([instance()])).status == 200


@pytest.mark.parametrize("sent", [b"", b"POST /studies HTTP/1.1\r\nHost: a\r\nX"])
def test_a_connection_without_a_request_is_closed(web: WebReceiver, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(server, "LINGER_S", 0.2)
    monkeypatch.setattr(server, "_WATCH_S", 0.05)
    with socket.create_connection(web.address, timeout=20) as connection:
        connection.sendall(sent)


def test_a_body_that_never_ends_is_cut_off(start_web: StartWeb, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LINGER_S", 0.2)
    monkeypatch.setattr(server, "_WATCH_S", 0.05)
    web = start_web(receive={"max_instance_bytes": 1_000_000})
    with begin(web.address, body([instance()])[:-40], promised=1 << 40) as connection:
        wait_until(lambda: not takes(connection, bytes(100_000)), "cut off")
    wait_until(lambda: not being_written(spool), "nothing is left")
    assert not files(spool)


def takes(connection: socket.socket, sent: bytes) -> bool:
    try:
        connection.sendall(sent)
    except OSError:
        return False
    return True


def test_a_client_that_asks_first_is_answered_before_it_sends(start_web: StartWeb) -> None:
    web = start_web(token="x" * 32)
    head = (
        f"POST /studies HTTP/1.1\r\nHost: a\r\nContent-Type: {MULTIPART}\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(web.address, timeout=20) as connection:
        connection.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 401")
