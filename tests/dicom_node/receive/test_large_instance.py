"""An instance of any size passes through without being held: the memory of every receiving process stays small."""

import hashlib
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_node.receive.spool import Spool
from tests.chaos.victim import descendants
from tests.chaos.wire import COMMAND, EXPLICIT_LITTLE, LAST, P_DATA, Connection, c_store_rq, p_data
from tests.node_process import AE_TITLE, Node, node
from tests.pacs_servers import wait_until

MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.7.2"  # Multi-frame Grayscale Byte Secondary Capture Image Storage
INSTANCE = "1.2.826.0.1.3680043.10.1999.9.1"
MEBIBYTE = 1 << 20
MOST_PSS_BYTES = 90 * MEBIBYTE
MOST_PSS_OF_PARENT_BYTES = 90 * MEBIBYTE
FRAME_BYTES = 1024 * 1024
FRAGMENT_BYTES = 131_072 - 6
LOOK_S = 0.02


def explicit(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    padded = value + (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, vr, len(padded)) + padded


def header(frames: int) -> bytes:
    """Everything before the pixels, of a multi-frame image that is all zeros."""
    elements = [
        explicit(0x0008, 0x0016, b"UI", MULTI_FRAME.encode()),
        explicit(0x0008, 0x0018, b"UI", INSTANCE.encode()),
        explicit(0x0008, 0x0060, b"CS", b"OT"),
        explicit(0x0010, 0x0020, b"LO", b"LARGE"),
        explicit(0x0020, 0x000D, b"UI", INSTANCE.encode() + b".1"),
        explicit(0x0020, 0x000E, b"UI", INSTANCE.encode() + b".2"),
        explicit(0x0028, 0x0002, b"US", struct.pack("<H", 1)),
        explicit(0x0028, 0x0004, b"CS", b"MONOCHROME2"),
        explicit(0x0028, 0x0008, b"IS", str(frames).encode()),
        explicit(0x0028, 0x0010, b"US", struct.pack("<H", 1024)),
        explicit(0x0028, 0x0011, b"US", struct.pack("<H", 1024)),
        explicit(0x0028, 0x0100, b"US", struct.pack("<H", 8)),
        explicit(0x0028, 0x0101, b"US", struct.pack("<H", 8)),
        explicit(0x0028, 0x0102, b"US", struct.pack("<H", 7)),
        explicit(0x0028, 0x0103, b"US", struct.pack("<H", 0)),
        struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OB", frames * FRAME_BYTES),
    ]
    return b"".join(elements)


def send(port: int, frames: int) -> int:
    """Send the image, of which this end never has more than one fragment. The status."""
    zeros = struct.pack(">BxIIBB", P_DATA, FRAGMENT_BYTES + 6, FRAGMENT_BYTES + 2, 1, 0) + bytes(FRAGMENT_BYTES)
    with Connection.open(("127.0.0.1", port), 120.0) as connection:
        connection.associate(AE_TITLE, "LARGE", ((MULTI_FRAME, (EXPLICIT_LITTLE,)),))
        connection.message_id = 1
        connection.send(p_data(1, COMMAND | LAST, c_store_rq(MULTI_FRAME, INSTANCE, 1)) + p_data(1, 0, header(frames)))
        whole, rest = divmod(frames * FRAME_BYTES, FRAGMENT_BYTES)
        for _ in range(whole):
            connection.send(zeros)
        connection.send(p_data(1, LAST, bytes(rest)))
        status = connection.read_status()
        connection.release()
    return status


def pss_bytes(pid: int) -> int:
    """Proportional set size: what the process has for itself, and its share of what several have."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return int(found[1]) * 1024 if found else 0


def pid_of(running: Node) -> int:
    """The receiving service."""
    process = running.servers["receive"].process
    assert process is not None
    return process.pid


def has_row(receiving: Node) -> bool:
    with receiving.ledger() as ledger:
        return len(ledger.instances.known_paths()) == 1


@contextmanager
def watched(running: Node) -> Iterator[dict[int, int]]:
    """The peak of each process of the receiving service, by its ID, gathered while the block runs."""
    parent = pid_of(running)
    peaks: dict[int, int] = {}
    done = threading.Event()

    def watch() -> None:
        while True:
            for pid in (parent, *descendants(parent)):
                peaks[pid] = max(peaks.get(pid, 0), pss_bytes(pid))
            if done.wait(LOOK_S):
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()


def digest_of(path: Path, skip: int) -> str:
    """Of a file from a position on, read in pieces."""
    with path.open("rb") as content:
        content.seek(skip)
        return hashlib.file_digest(content, "sha256").hexdigest()


def digest_of_image(frames: int) -> str:
    digest = hashlib.sha256(header(frames))
    for _ in range(frames):
        digest.update(bytes(FRAME_BYTES))
    return digest.hexdigest()


@pytest.mark.parametrize("frames", [200, pytest.param(2048, marks=pytest.mark.slow)])
def test_a_large_multi_frame_instance_is_received_in_little_memory(tmp_path: Path, frames: int) -> None:
    with node(tmp_path, start=False) as receiving:
        receiving.start("receive")
        parent = pid_of(receiving)
        with watched(receiving) as peaks:
            assert send(receiving.port, frames) == 0x0000
            wait_until(lambda: has_row(receiving), "it has its row", 60.0)
        (stored,) = (file for minute in Spool(receiving.state / "spool").directories() for file in minute)
        before = stored.size_bytes - frames * FRAME_BYTES - len(header(frames))
        assert 128 < before < 1000
        assert digest_of(stored.path, before) == digest_of_image(frames)
    told = {pid: f"{peak / MEBIBYTE:.1f} MiB" for pid, peak in peaks.items()}
    assert len(peaks) >= 2, "the parent and a worker at least"
    assert peaks.pop(parent) < MOST_PSS_OF_PARENT_BYTES, told
    assert max(peaks.values()) < MOST_PSS_BYTES, told
    print(told)
