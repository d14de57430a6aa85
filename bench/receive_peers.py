"""The receivers that are compared: how each is started, where it keeps its files, how it is stopped."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.receive_process import ProcessTree, listens

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 20.0
INDEX_DEADLINE_S = 180.0
REPOSITORY = Path(__file__).parent.parent
NO_NAGLE = {"TCP_NODELAY": "1"}
"""DCMTK, and Orthanc with it, leave Nagle's algorithm on unless this is in the environment."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and for what a receiver runs."""

    folder: Path
    port: int
    associations: int
    compressed: bool


@dataclass(frozen=True, slots=True)
class Peer:
    """A receiver.

    Attributes:
        command: the command line; it may write files before.
        program: what must be installed; empty: nothing but this project.
        sends: "dicom", "raw" (the bytes without DICOM) or "none" (the command is the whole measurement).
        exact: datasets must be kept as the very bytes that came.
        files: folder under the place's in which its files are.
        most_associations: it takes no more at the same time.
        is_node: it has a ledger, whose rows are waited for.
    """

    name: str
    command: Callable[[Place], list[str]]
    program: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    sends: str = "dicom"
    exact: bool = True
    files: str = "files"
    most_associations: int = 1000
    is_node: bool = False

    def installed(self) -> bool:
        return not self.program or _found(self.program) is not None


class ReceiverFailed(Exception):
    """A receiver does not start, or does not index what it took."""


@contextmanager
def running(peer: Peer, place: Place) -> Iterator[ProcessTree]:
    """The receiver as a process group of its own, listening and at rest.

    Raises:
        ReceiverFailed: it does not listen.
    """
    place.folder.mkdir(parents=True)
    (place.folder / peer.files).mkdir(parents=True, exist_ok=True)
    log_path = place.folder / "log.txt"
    environment = {**os.environ, **peer.environment}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            peer.command(place), stdout=log, stderr=log, env=environment, start_new_session=True, cwd=REPOSITORY
        )
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while not listens(place.port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ReceiverFailed(f"{peer.name} does not listen:\n{log_path.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        tree = ProcessTree(process.pid)
        tree.wait_until_quiet()
        yield tree
    finally:
        _stop(process)


def wait_for_rows(place: Place, count: int) -> None:
    """Wait until the node's ledger has a row for each instance.

    Raises:
        ReceiverFailed: it has not, long after.
    """
    deadline, rows = time.monotonic() + INDEX_DEADLINE_S, 0
    while time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.OperationalError):
            rows = _rows(place)
        if rows >= count:
            return
        time.sleep(0.05)
    raise ReceiverFailed(f"the node's ledger has {rows} rows for {count} instances after {INDEX_DEADLINE_S:g} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def discard(folder: Path) -> None:
    """Empty a receiver's files and leave them: ext4 searches long for a new inode after many were just removed."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)


def _rows(place: Place) -> int:
    ledger = place.folder / "state" / "ledger.sqlite"
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=5)) as connection:
        return int(connection.execute("SELECT count(*) FROM instances").fetchone()[0])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_DEADLINE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _found(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def _node(*keys: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        never_full = ("min_free_bytes", "min_free_percent", "resume_free_bytes", "resume_free_percent")
        lines = [
            "[node]",
            'host = "127.0.0.1"',
            f"port = {place.port}",
            f"state_dir = {json.dumps(str(place.folder / 'state'))}",
            "[receive]",
            *(f"{key} = 0" for key in never_full),
            *keys,
        ]
        configuration = place.folder / "node.toml"
        configuration.write_text("\n".join(lines) + "\n")
        return [sys.executable, "-m", "dicom_node.cli", "--config", str(configuration), "serve", "--only", "receive"]

    return command


def _storescp(*options: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        many = ["--fork"] if place.associations > 1 else []
        syntaxes = ["+xa"] if place.compressed else []
        return ["storescp", *options, *many, *syntaxes, "-od", str(place.folder / "files"), str(place.port)]

    return command


def _orthanc(place: Place) -> list[str]:
    storage = str(place.folder / "files")
    configuration = {
        "StorageDirectory": storage,
        "IndexDirectory": storage,
        "DicomPort": place.port,
        "HttpPort": free_port(),
        "RemoteAccessAllowed": False,
        "Plugins": [],
    }
    path = place.folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    return [_found("Orthanc") or "Orthanc", str(path)]


def _pynetdicom(place: Place) -> list[str]:
    return [sys.executable, "-m", "pynetdicom", "storescp", "-od", str(place.folder / "files"), str(place.port)]


def _copy(place: Place) -> list[str]:
    return [sys.executable, "-m", "bench.receive_limits", "copy", str(place.port), str(place.folder / "files")]


def _loop(kind: str) -> Callable[[Place], list[str]]:
    return lambda place: [sys.executable, "-m", "bench.receive_limits", kind, str(place.folder / "files")]


SPOOL = "state/spool/instances"
PEERS = {
    peer.name: peer
    for peer in (
        Peer("node", _node(), files=SPOOL, is_node=True),
        Peer("node, not durable", _node("durable = false"), files=SPOOL, is_node=True),
        Peer("node, streaming off", _node("streaming = false"), files=SPOOL, is_node=True),
        Peer("storescp +B", _storescp("+B"), "storescp"),
        Peer("storescp +B, no delay", _storescp("+B"), "storescp", NO_NAGLE),
        Peer("storescp", _storescp(), "storescp", exact=False),
        Peer("storescp, no delay", _storescp(), "storescp", NO_NAGLE, exact=False),
        Peer("Orthanc", _orthanc, "Orthanc", exact=False),
        Peer("Orthanc, no delay", _orthanc, "Orthanc", NO_NAGLE, exact=False),
        Peer("pynetdicom storescp", _pynetdicom, exact=False, most_associations=10),
        Peer("socket to file", _copy, sends="raw"),
        Peer("write, fsync, rename", _loop("loop"), sends="none"),
        Peer("write, fsync, rename, fsync folder", _loop("strict"), sends="none"),
    )
}
