"""`dicom-node serve` as systemd and an operator see it."""

import os
import signal
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.node_process import node
from tests.pacs_servers import Server, is_listening, wait_until

PULSE_US = 300_000


@pytest.fixture
def down(tmp_path):
    """A configured node that does not run."""
    with node(tmp_path / "node", start=False) as configured:
        yield configured


@contextmanager
def serving(configured, *options, environment=None, ports=True):
    command = [sys.executable, "-m", "dicom_node.cli", "--config", str(configured.configuration), "serve", *options]
    log = configured.directory / "serve.log"
    server = Server(command, [configured.port] if ports else [], log, environment or {})
    try:
        yield server.start()
    finally:
        server.stop()


def children(pid: int) -> dict[str, int]:
    """Process identifiers of the two services, by name."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
            if "--only" in words:
                found[words[words.index("--only") + 1]] = int(child)
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_service_is_started_again_and_sigterm_ends_both(down):
    with serving(down) as server:
        before = children(server.process.pid)
        os.kill(before["receive"], signal.SIGKILL)
        wait_until(lambda: children(server.process.pid).get("receive") not in {before["receive"], None}, "started again", 30)
        wait_until(lambda: is_listening(down.port), "the new one listens", 30)
        after = children(server.process.pid)
        assert after["process"] == before["process"]
        server.process.terminate()
        assert server.process.wait(30) == 0
        assert not any(map(is_running, after.values()))
    log = server.log.read_text()
    assert "service died, starting it again" in log
    assert "Traceback" not in log


def test_both_services_end_when_their_supervisor_is_killed(down):
    with serving(down) as server:
        services = children(server.process.pid)
        assert set(services) == {"receive", "process"}
        server.process.kill()
        wait_until(lambda: not any(map(is_running, services.values())), "both have ended", 30)
        assert not is_listening(down.port)


@pytest.mark.parametrize("options", [(), ("--only", "receive"), ("--only", "process")], ids=["both", "receive", "process"])
def test_systemd_is_told_ready_alive_and_stopping(down, tmp_path, options):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "n"))
        notified.settimeout(60)
        told = []

        def wait_for(word: str) -> None:
            while word not in told:
                told.extend(notified.recv(4096).decode().splitlines())

        environment = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": str(PULSE_US)}
        with serving(down, *options, environment=environment, ports=False) as server:
            wait_for("READY=1")
            wait_for("WATCHDOG=1")
            server.process.terminate()
            wait_for("STOPPING=1")
            assert server.process.wait(30) == 0
        assert told.count("READY=1") == 1


@pytest.mark.parametrize("service", ["receive", "process"])
def test_a_state_directory_that_cannot_be_is_one_sentence_and_status_1(down, service):
    down.state.write_text("a file")
    done = down.command("serve", "--only", service)
    assert done.returncode == 1
    assert str(down.state) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_one_sentence_and_status_1(down):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", down.port))
        taken.listen()
        done = down.command("serve", "--only", "receive")
    assert done.returncode == 1
    assert str(down.port) in done.stderr
    assert "Traceback" not in done.stderr
