"""From results to deliveries: what a finished job owes to whom."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from dicom_node.ledger.history import record
from dicom_node.ledger.rows import KIND_ORDER
from dicom_node.ledger.schema import deliveries
from dicom_node.ledger.transitions import change_state
from dicom_node.lifecycle import OPEN, Change, State
from dicom_node.model import Result, ResultKind

Destinations = Sequence[tuple[str, Sequence[ResultKind]]]


def queue_deliveries(
    connection: Connection, job_id: int, made: Sequence[Result], destinations: Destinations, now: float
) -> None:
    """One delivery per kind that was made and destination that takes it; a second run sends again."""
    kinds = sorted({result.kind for result in made}, key=KIND_ORDER.__getitem__)
    for destination, accepted in destinations:
        for kind in kinds:
            if kind in accepted:
                _queue(connection, job_id, kind, destination, now)


def _queue(connection: Connection, job_id: int, kind: ResultKind, destination: str, now: float) -> None:
    columns = deliveries.c
    same = (columns.job_id == job_id, columns.kind == kind.value, columns.destination == destination)
    row = connection.execute(select(deliveries).where(*same)).one_or_none()
    if row is None:
        values = {
            "job_id": job_id,
            "kind": kind.value,
            "kind_order": KIND_ORDER[kind],
            "destination": destination,
            "state": State.QUEUED.value,
            "not_before": now,
            "created_at": now,
            "updated_at": now,
        }
        delivery_id = connection.execute(insert(deliveries).returning(columns.id), values).scalar_one()
        record(connection, now, "delivery", delivery_id, "queued", f"{kind.value} of job {job_id} to {destination}")
    elif State(row.state) not in OPEN:
        fresh = {"attempts": 0, "not_before": now, "rank": 0}
        change_state(connection, row, deliveries, Change.REQUEUE, now, "the job ran again", **fresh)
