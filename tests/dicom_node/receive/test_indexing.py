"""The indexer with the real ledger, and with ledgers that fail."""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dicom_node.errors import TransientError
from dicom_node.headers import read_instance
from dicom_node.ledger import Ledger
from dicom_node.model import Instance
from dicom_node.receive import Spool, StoredFile
from dicom_node.receive.indexing import AddReport, Indexer, InstanceLedger
from dicom_node.receive.part10 import StoreRequest, head
from tests.dicom_node.receive.client import CT, UID_ROOT
from tests.pacs_servers import wait_until

EXPLICIT = "1.2.840.10008.1.2.1"


def read(path: Path) -> Instance:
    """The real reader, with a bug."""
    if b"CRASH" in path.read_bytes():
        raise IndexError("Doe^John")
    return read_instance(path, received_at=path.stat().st_mtime)


def dataset_bytes(number: int, remark: str = "") -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT, UID_ROOT + str(number)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID_ROOT + "8", UID_ROOT + "9"
    dataset.ImageComments = remark
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def keep(spool: Spool, number: int, remark: str = "", calling: str = "") -> StoredFile:
    return keep_bytes(spool, dataset_bytes(number, remark), number, calling)


def keep_bytes(spool: Spool, dataset: bytes, number: int = 1, calling: str = "") -> StoredFile:
    with spool.open() as incoming:
        incoming.write(head(StoreRequest(CT, UID_ROOT + str(number), EXPLICIT, calling)) + dataset)
        return incoming.commit()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


@contextmanager
def indexing(spool: Spool, ledger: InstanceLedger, queue_size: int = 1000) -> Iterator[Indexer]:
    indexer = Indexer(spool, ledger, read, queue_size).start()
    try:
        yield indexer
    finally:
        indexer.stop(30)
        assert not indexer._thread.is_alive()


def indexed(ledger: Ledger) -> frozenset[Path]:
    return ledger.instances.known_paths() - {q.path for q in ledger.instances.quarantined()}


def instances(spool: Spool) -> set[Path]:
    return set(spool.instances.rglob("*.dcm"))


def test_every_stored_file_is_indexed(spool: Spool, ledger: Ledger) -> None:
    with indexing(spool, ledger.instances) as indexer:
        stored = [keep(spool, number) for number in range(100)]
        for file in stored:
            indexer.offer(file)
    assert indexed(ledger) == {file.path for file in stored}


def test_files_without_a_row_are_adopted_at_the_start(spool: Spool, ledger: Ledger) -> None:
    stored = [keep(spool, number) for number in range(3)]
    with indexing(spool, ledger.instances):
        wait_until(lambda: len(indexed(ledger)) == 3, "the sweep to adopt all")
    assert indexed(ledger) == {file.path for file in stored}


def test_a_ledger_that_was_lost_is_rebuilt_the_same(spool: Spool, ledger: Ledger, tmp_path: Path) -> None:
    with indexing(spool, ledger.instances) as indexer:
        for number in range(5):
            indexer.offer(keep(spool, number))
        indexer.offer(keep(spool, 0, "other content"))
        indexer.offer(keep_bytes(spool, b"BROKEN"))
    with Ledger.open(tmp_path / "rebuilt.sqlite") as rebuilt:
        with indexing(spool, rebuilt.instances):
            wait_until(lambda: len(rebuilt.instances.known_paths()) == 7, "the sweep to adopt all")
        assert indexed(rebuilt) == indexed(ledger)
        assert set(rebuilt.instances.quarantined()) == set(ledger.instances.quarantined())


def test_an_identical_copy_is_deleted_and_the_first_file_stays(spool: Spool, ledger: Ledger) -> None:
    with indexing(spool, ledger.instances) as indexer:
        first, copy = (keep(spool, 1, calling=calling) for calling in ("PACS1", "PACS2"))
        indexer.offer(first)
        indexer.offer(copy)
    assert instances(spool) == indexed(ledger) == {first.path}


def test_other_content_under_the_same_uid_is_quarantined_and_both_files_are_kept(spool: Spool, ledger: Ledger) -> None:
    with indexing(spool, ledger.instances) as indexer:
        first, other = keep(spool, 1), keep(spool, 1, "other content")
        indexer.offer(first)
        indexer.offer(other)
    assert indexed(ledger) == {first.path}
    (quarantined,) = ledger.instances.quarantined()
    assert quarantined.path.read_bytes().endswith(dataset_bytes(1, "other content"))


@pytest.mark.parametrize("content", [b"BROKEN", b"CRASH"])
def test_what_cannot_be_read_is_quarantined_without_naming_anybody_and_the_rest_is_indexed(
    spool: Spool, ledger: Ledger, content: bytes
) -> None:
    with indexing(spool, ledger.instances) as indexer:
        odd, sound = keep_bytes(spool, content), keep(spool, 1)
        indexer.offer(odd)
        indexer.offer(sound)
    (quarantined,) = ledger.instances.quarantined()
    assert quarantined.path.parent == spool.quarantined
    assert quarantined.path.read_bytes().endswith(content)
    assert quarantined.at == odd.received_at
    assert "Doe" not in quarantined.reason
    assert indexed(ledger) == {sound.path}


def test_a_full_queue_is_made_up_for_by_a_sweep(spool: Spool, ledger: Ledger) -> None:
    with indexing(spool, ledger.instances, queue_size=1) as indexer:
        stored = [keep(spool, number) for number in range(50)]
        for file in stored:
            indexer.offer(file)
        wait_until(lambda: len(indexed(ledger)) == 50, "the sweep to adopt what the queue did not take")


class Locked:
    """The real ledger behind a lock that a test holds."""

    def __init__(self, ledger: Ledger, error: Exception) -> None:
        self._instances = ledger.instances
        self._error = error
        self.locked = True
        self.refused = threading.Event()

    def _check(self) -> None:
        if self.locked:
            self.refused.set()
            raise self._error

    def add(self, instances: Sequence[Instance]) -> AddReport:
        self._check()
        return self._instances.add(instances)

    def known_paths(self) -> Collection[Path]:
        self._check()
        return self._instances.known_paths()

    def quarantine(self, path: Path, reason: str, at: float) -> None:
        self._check()
        self._instances.quarantine(path, reason, at)


@pytest.mark.parametrize("error", [TransientError("the ledger is locked"), RuntimeError("a bug")])
def test_a_ledger_that_fails_for_a_while_costs_nothing(spool: Spool, ledger: Ledger, error: Any) -> None:
    locked = Locked(ledger, error)
    with indexing(spool, locked) as indexer:
        stored = [keep(spool, 1), keep_bytes(spool, b"BROKEN"), keep(spool, 2)]
        for file in stored:
            indexer.offer(file)
        assert locked.refused.wait(30)
        locked.locked = False
        indexer.request_sweep()
        wait_until(lambda: len(indexed(ledger)) == 2 and len(ledger.instances.quarantined()) == 1, "all to have a row")
