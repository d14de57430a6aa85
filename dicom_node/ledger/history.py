"""Events: every change leaves one, in the transaction that makes it."""

from collections.abc import Iterable

from sqlalchemy import Connection, insert, select

from dicom_node.ledger.database import Database
from dicom_node.ledger.schema import events
from dicom_node.model import Event


def record(connection: Connection, at: float, subject: str, subject_id: str | int, change: str, detail: str = "") -> None:
    row = {"at": at, "subject": subject, "subject_id": str(subject_id), "change": change, "detail": detail}
    connection.execute(insert(events), row)


def events_of(connection: Connection, subject: str, subject_ids: Iterable[str | int]) -> tuple[Event, ...]:
    """The events of these subjects, oldest first."""
    wanted = [str(subject_id) for subject_id in subject_ids]
    query = select(events).where(events.c.subject == subject, events.c.subject_id.in_(wanted)).order_by(events.c.id)
    return tuple(Event(row.at, row.subject, row.subject_id, row.change, row.detail) for row in connection.execute(query))


class History:
    """What happened, in order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, subject: str, subject_id: str | int) -> tuple[Event, ...]:
        """The events of a "series", "job", "delivery" or "instance"."""
        with self._database.read() as connection:
            return events_of(connection, subject, [subject_id])

    def note(self, subject: str, subject_id: str | int, change: str, detail: str, *, now: float) -> None:
        """Keep a word about something without changing its state."""
        with self._database.write() as connection:
            record(connection, now, subject, subject_id, change, detail)
