"""The one place that writes a state. What may follow what stands in dicom_node.lifecycle."""

from typing import Any

from sqlalchemy import Connection, Row, Table, select, update

from dicom_node.errors import LedgerError
from dicom_node.ledger.history import record
from dicom_node.ledger.schema import deliveries, jobs
from dicom_node.lifecycle import Change, State, after

SUBJECTS = {jobs.name: "job", deliveries.name: "delivery"}
OVERTAKEN = frozenset({State.SUPERSEDED, State.CANCELLED})


def change_state(
    connection: Connection, row: Row[Any], table: Table, change: Change, now: float, detail: str = "", **values: object
) -> State:
    """Move a job or delivery along the transition table, set further columns, and leave an event.

    Raises:
        IllegalTransitionError: the table has no such change.
    """
    state = after(State(row.state), change)
    connection.execute(update(table).where(table.c.id == row.id).values(state=state.value, updated_at=now, **values))
    record(connection, now, SUBJECTS[table.name], row.id, change.value, detail)
    return state


def is_overtaken(connection: Connection, row: Row[Any], table: Table, change: Change, now: float, detail: str = "") -> bool:
    """Whether a newer revision or a person ended it while it ran; then its outcome is only noted."""
    if State(row.state) not in OVERTAKEN:
        return False
    record(connection, now, SUBJECTS[table.name], row.id, f"{change.value} ignored", f"{row.state} meanwhile. {detail}".strip())
    return True


def fetch(connection: Connection, table: Table, row_id: int) -> Row[Any]:
    """The row of a job or delivery.

    Raises:
        LedgerError: there is none.
    """
    row = connection.execute(select(table).where(table.c.id == row_id)).one_or_none()
    if row is None:
        raise LedgerError(f"There is no {SUBJECTS[table.name]} {row_id}.")
    return row
