"""Socket activation: while the receiving service restarts or dies, senders wait and none is refused."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.journal import Journal
from tests.chaos.senders import CONTEXTS
from tests.chaos.spooled import Spooled
from tests.chaos.studies import series
from tests.chaos.wire import EXPLICIT_LITTLE, MR, Connection
from tests.node_process import Node, node
from tests.pacs_servers import LOOPBACK, wait_until

# What systemd does: the socket becomes descriptor 3 and LISTEN_PID names the program that it turns into (sd_listen_fds(3)).
AS_SYSTEMD = """
import os, sys
descriptor, program = int(sys.argv[1]), sys.argv[2:]
os.dup2(descriptor, 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(program[0], program)
"""
RESTARTS = 3


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Node]:
    with node(tmp_path / "node", start=False) as made:
        yield made


def service(configuration: Path) -> list[str]:
    return [sys.executable, "-m", "dicom_node.cli", "--config", str(configuration), "serve", "--only", "receive"]


@contextmanager
def activated(stopped: Node, listening: socket.socket, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", AS_SYSTEMD, str(listening.fileno()), *service(stopped.configuration)]
    with log.open("ab") as output:
        process = subprocess.Popen(command, pass_fds=[listening.fileno()], stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def keep_sending(address: tuple[str, int], journal: Journal, number: int, enough: threading.Event) -> int:
    """One association after the other, each with one instance, until told; every refusal raises. How many."""
    sent = 0
    while not enough.is_set():
        (outgoing,) = series(f"7.{number}.{sent}", 1, with_job=False)
        dataset = outgoing.dataset()
        with Connection.open(address, timeout_s=60.0) as connection:
            connection.associate("DICOM-NODE", "SENDER", CONTEXTS)
            journal.begin(outgoing, dataset)
            context_id = 1 + 2 * [uid for uid, _ in CONTEXTS].index(outgoing.sop_class_uid)
            status = connection.store(context_id, outgoing.sop_class_uid, outgoing.sop_instance_uid, dataset, 16_384)
            journal.end(outgoing, status)
            connection.release()
        assert status == 0
        sent += 1
    return sent


def test_no_sender_is_refused_while_the_service_restarts(stopped: Node, tmp_path: Path) -> None:
    journal, enough, log = Journal(tmp_path / "journal"), threading.Event(), tmp_path / "log"
    with socket.create_server((LOOPBACK, stopped.port), backlog=128) as listening, ThreadPoolExecutor(3) as pool:
        senders = [pool.submit(keep_sending, (LOOPBACK, stopped.port), journal, number, enough) for number in range(3)]
        try:
            for turn in range(RESTARTS):
                with activated(stopped, listening, log) as process:
                    wait_until(lambda turn=turn: journal.count() >= 10 * (turn + 1), "some instances", 60)  # type: ignore[misc]
                    process.terminate()
                    assert process.wait(30) == 0
            with activated(stopped, listening, log):
                enough.set()
                assert sum(sender.result(60) for sender in senders) == len(journal.acknowledged)
        finally:
            enough.set()
    assert list(Spooled(stopped.state).problems(journal)) == []
    journal.close()


def test_who_connects_while_nothing_runs_is_served_later(stopped: Node, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, stopped.port)) as listening:
        early = Connection.open((LOOPBACK, stopped.port), timeout_s=60.0)
        with early, activated(stopped, listening, tmp_path / "log"):
            early.associate("DICOM-NODE", "SENDER", [(MR, (EXPLICIT_LITTLE,))])
            early.release()


def test_the_protocol_is_the_one_of_systemds_own_tool(stopped: Node, tmp_path: Path) -> None:
    program = shutil.which("systemd-socket-activate")
    if program is None:
        pytest.skip("systemd-socket-activate is not installed (package systemd)")
    with (tmp_path / "log").open("wb") as output:
        command = [program, "--listen", f"{LOOPBACK}:{stopped.port}", *service(stopped.configuration)]
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ)
        try:
            wait_until(lambda: "Listening" in (tmp_path / "log").read_text(errors="replace"), "the tool listens")
            with Connection.open((LOOPBACK, stopped.port), timeout_s=60.0) as connection:
                connection.associate("DICOM-NODE", "SENDER", [(MR, (EXPLICIT_LITTLE,))])
                connection.release()
        finally:
            process.terminate()
            process.wait(30)


def test_a_socket_of_another_port_is_told_apart_and_the_configured_one_is_used(stopped: Node, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with socket.create_server((LOOPBACK, 0)) as other, activated(stopped, other, log):
        wait_until(lambda: "receiving" in log.read_text(errors="replace"), "the node listens", 60)
        with Connection.open((LOOPBACK, stopped.port), timeout_s=60.0) as connection:
            connection.associate("DICOM-NODE", "SENDER", [(MR, (EXPLICIT_LITTLE,))])
            connection.release()
    assert "systemctl edit dicom-node-receive.socket" in log.read_text(errors="replace")
