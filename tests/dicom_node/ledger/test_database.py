import sqlite3
import threading
from pathlib import Path

import pytest

from dicom_node.errors import LedgerError, TransientError
from dicom_node.ledger import Ledger
from dicom_node.ledger import database as database_module
from dicom_node.ledger.database import Database
from tests.dicom_node.ledger.builders import instance


def test_an_empty_ledger_is_created_where_there_is_none_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.instances.add([instance(tmp_path, 1)])
    with Ledger.open(path) as ledger:
        assert ledger.views.status().instances == 1


def test_the_file_is_written_ahead_and_synchronised_at_every_commit(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "ledger.sqlite")
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    database.close()


def test_two_processes_may_make_the_same_new_ledger_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ends = threading.Timer(0.3, other.close)
    ends.start()
    Ledger.open(path).close()
    ends.join()


def test_a_ledger_of_another_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger.open(path).close()
    for version, word in ((99, "newer"), (0, "older")):
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
        with pytest.raises(LedgerError, match=f"{word}.*move the file away"):
            Ledger.open(path)


def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE patients (name TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match="no ledger of dicom-node"):
        Ledger.open(path)


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.open(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="folder exists"):
        Ledger.open(tmp_path / "absent" / "ledger.sqlite")


def test_what_an_exception_interrupts_is_undone(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "ledger.sqlite")

    def interrupted() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("INSERT INTO quarantined VALUES ('p', 'r', 1)")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        interrupted()
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM quarantined").scalar() == 0
    database.close()


def test_a_ledger_locked_for_too_long_is_a_transient_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.sqlite"
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.05)
    with Ledger.open(path) as ledger:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TransientError, match="locked"):
            ledger.instances.quarantine(tmp_path / "file", "reason", 1.0)
        other.execute("ROLLBACK")
        other.close()
        ledger.instances.quarantine(tmp_path / "file", "reason", 1.0)


def test_many_threads_share_one_ledger(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        threads = [
            threading.Thread(target=ledger.instances.add, args=([instance(tmp_path, number, series=f"1.{number % 3}")],))
            for number in range(24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.views.status().instances == 24
        assert sum(len(series.instances) for series in ledger.series.open()) == 24
