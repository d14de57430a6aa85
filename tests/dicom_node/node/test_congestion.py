"""A disk that fills up: senders are turned away for a while, never for good, and `status` says so, until there is room."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.node.paths import StatePaths
from dicom_node.receive.disk_watch import DiskReport
from tests.chaos.disks import cannot_mount, disk
from tests.dicom_node.cli.program import answer, dicom_node
from tests.dicom_node.receive.client import UID_ROOT, VERIFICATION, associated, rejection_of, request, store
from tests.node_process import AE_TITLE, Node, node
from tests.pacs_servers import LOOPBACK, wait_until

REASON = cannot_mount()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)

MEBIBYTE = 1 << 20
DISK_MIB, REFUSE_MIB, RESUME_MIB = 64, 16, 32
MARKS = f"min_free_bytes = {REFUSE_MIB * MEBIBYTE}\nresume_free_bytes = {RESUME_MIB * MEBIBYTE}\n"
RECEIVE = f"\n[receive]\nprocesses = 2\nmin_free_percent = 0\nresume_free_percent = 0\n{MARKS}"
DATASET = bytes(range(256)) * 2000
TRANSIENT = (2, 3, 1)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Node]:
    """A node that receives, in two processes, into a file system of its own."""
    with node(tmp_path / "node", start=False, more=RECEIVE) as made, disk(made.state, DISK_MIB):
        made.start("receive")
        try:
            yield made
        finally:
            made.stop()


def leave(made: Node, free_mib: int) -> None:
    """Let the disk have so much room."""
    descriptor = os.open(made.state / "ballast", os.O_CREAT | os.O_WRONLY)
    try:
        os.truncate(descriptor, (DISK_MIB - free_mib) * MEBIBYTE)
        os.posix_fallocate(descriptor, 0, (DISK_MIB - free_mib) * MEBIBYTE)
    finally:
        os.close(descriptor)


def wait_for(made: Node, *, refused: bool, more: str) -> None:
    """Until `status` says so; its exit status says whether senders are refused."""
    status = 1 if refused else 0

    def is_so() -> bool:
        return dicom_node("status", config=made.configuration).returncode == status

    wait_until(is_so, f"status says that senders are {'refused' if refused else 'accepted'} {more}", 60)


def outcome(made: Node) -> tuple[int, int, int] | None:
    """How a storing sender's association is rejected; None if it is accepted."""
    association = request((LOOPBACK, made.port), called=AE_TITLE)
    if association.is_established:
        association.release()
        return None
    return rejection_of(association)


def test_a_full_disk_turns_senders_away_until_there_is_room_again(small: Node) -> None:
    address = (LOOPBACK, small.port)
    wait_until((small.state / "ledger.sqlite").exists, "there is a ledger")
    wait_for(small, refused=False, more="at first")
    with associated(address, called=AE_TITLE) as early:
        assert store(early, DATASET, UID_ROOT + "1").Status == 0x0000
        leave(small, REFUSE_MIB // 2)
        assert store(early, DATASET, UID_ROOT + "2").Status == 0xA700
    wait_for(small, refused=True, more="when the disk is full")
    said = answer("status", config=small.configuration, status=1)["receiving"]
    assert said["refused_because"] == "disk nearly full"
    assert outcome(small) == TRANSIENT

    word = StatePaths(small.state).disk_report
    wait_until(lambda: (said := DiskReport.read(word)) is not None and bool(said.refused_because), "the service has said so")
    leave(small, (REFUSE_MIB + RESUME_MIB) // 2)
    with associated(address, called=AE_TITLE, contexts=[(VERIFICATION, ("1.2.840.10008.1.2",))]) as only_asking:
        assert outcome(small) == TRANSIENT  # by the process that does not serve the other one
        assert only_asking.send_c_echo().Status == 0x0000
    assert outcome(small) == TRANSIENT
    table = dicom_node("status", config=small.configuration)
    assert "refused since" in table.stdout
    assert "disk nearly full" in table.stdout

    leave(small, RESUME_MIB + 8)
    wait_for(small, refused=False, more="when there is room")
    wait_until(lambda: outcome(small) is None, "senders are let in")
    with associated(address, called=AE_TITLE) as late:
        assert store(late, DATASET, UID_ROOT + "2").Status == 0x0000


def test_a_spool_in_memory_and_a_disk_below_its_watermark_are_found_by_check(small: Node) -> None:
    said = {checked["what"]: checked for checked in answer("check", config=small.configuration, status=1)}
    assert said["disk"]["good"]
    assert "on tmpfs" in said["spool"]["said"]
    assert not said["spool"]["good"]
    leave(small, REFUSE_MIB // 2)
    said = {checked["what"]: checked for checked in answer("check", config=small.configuration, status=1)}
    assert not said["disk"]["good"]
    assert "disk nearly full" in said["disk"]["said"]
