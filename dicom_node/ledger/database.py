"""The SQLite file: how it is opened, and its two kinds of transaction. SQLAlchemy's exceptions end here."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from dicom_node.errors import LedgerError, TransientError
from dicom_node.ledger.schema import APPLICATION_ID, SCHEMA_VERSION, metadata

BUSY_TIMEOUT_S = 30.0
BUSY_PAUSE_S = 0.02
REBUILD = "stop the node and move the file away: a new ledger is built from the spool at the next start"


class Database:
    """One SQLite file, for any number of threads and processes at once."""

    def __init__(self, engine: Engine) -> None:
        self._readers = engine
        self._writers = engine.execution_options(begin="BEGIN IMMEDIATE")

    @classmethod
    def open(cls, path: Path) -> "Database":
        """Open the ledger, or create it.

        Raises:
            LedgerError: the file cannot be opened, is no ledger, or is one of another version.
        """
        engine = create_engine(
            URL.create("sqlite", database=str(path)),
            connect_args={"timeout": BUSY_TIMEOUT_S},
            pool_size=8,
            max_overflow=56,
            hide_parameters=True,
        )
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        database = cls(engine)
        try:
            with database._writers.begin() as connection:
                _create_or_check(connection, path)
        except LedgerError:
            engine.dispose()
            raise
        except SQLAlchemyError as error:
            engine.dispose()
            raise LedgerError(
                f"The ledger {path} cannot be opened ({_words(error)}): check that its folder exists, is "
                f"writable and has space; if the file is damaged, {REBUILD}."
            ) from error
        return database

    def close(self) -> None:
        self._readers.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot: every query inside sees the same state."""
        with _translated(), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start; on stable storage when it ends, or undone by an exception."""
        with _translated(), self._writers.begin() as connection:
            yield connection


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin says
    _keep_log(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _keep_log(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite waits for nobody there, and both services make a new ledger at the same time."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(BUSY_PAUSE_S)
        else:
            return


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _create_or_check(connection: Connection, path: Path) -> None:
    application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    empty = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one() == 0
    if empty:
        metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
    elif application != APPLICATION_ID:
        raise LedgerError(f"{path} is a SQLite file, but no ledger of dicom-node: configure another path.")
    elif version != SCHEMA_VERSION:
        newer = "a newer" if version > SCHEMA_VERSION else "an older"
        raise LedgerError(
            f"The ledger {path} has version {version} of {newer} dicom-node; this one reads version {SCHEMA_VERSION}: "
            f"install the dicom-node that wrote it, or {REBUILD}."
        )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:  # locked too long, disk full, input or output error
        raise TransientError(f"The ledger cannot be used now ({_words(error)}).") from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # a constraint: a bug, not the file
            raise
        raise LedgerError(f"The ledger is damaged ({_words(error)}): {REBUILD}.") from error


def _words(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or type(error).__name__)
