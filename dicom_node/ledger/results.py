"""Results: what the node made, and where it lies."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from dicom_node.ledger.database import Database
from dicom_node.ledger.rows import to_result
from dicom_node.ledger.schema import results, stored
from dicom_node.model import Delivery, Result


class Results:
    """The SOP Instances that the node made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_job(self, job_id: int) -> tuple[Result, ...]:
        """The results of its latest run, preferred forms first."""
        query = select(results).where(results.c.job_id == job_id, results.c.current)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(results.c.kind, results.c.rank, results.c.sop_instance_uid)).all()
        return tuple(to_result(row) for row in rows)

    def of_delivery(self, delivery: Delivery) -> tuple[Result, ...]:
        """What this delivery sends: its kind, in the form of its rank."""
        wanted = (delivery.kind, delivery.rank)
        return tuple(result for result in self.of_job(delivery.job_id) if (result.kind, result.rank) == wanted)

    def get(self, sop_instance_uid: str) -> Result | None:
        with self._database.read() as connection:
            row = connection.execute(select(results).where(results.c.sop_instance_uid == sop_instance_uid)).one_or_none()
        return to_result(row) if row is not None else None

    def is_ours(self, *uids: str) -> bool:
        """Whether any of these is the SOP Instance or Series Instance UID of something the node made, ever."""
        ours = or_(results.c.sop_instance_uid.in_(uids), results.c.series_instance_uid.in_(uids))
        with self._database.read() as connection:
            return connection.execute(select(results.c.job_id).where(ours).limit(1)).first() is not None


def sent_results(connection: Connection, delivery: Row[Any], rank: int | None = None) -> list[Row[Any]]:
    """What a delivery sends: its kind, in the form of its own rank or of another."""
    form = delivery.rank if rank is None else rank
    same = (results.c.job_id == delivery.job_id, results.c.kind == delivery.kind, results.c.rank == form)
    return list(connection.execute(select(results).where(*same, results.c.current).order_by(results.c.sop_instance_uid)))


def mark_stored(connection: Connection, delivery: Row[Any], now: float) -> None:
    """Remember for good that the destination has, or had, what this delivery sends."""
    for row in sent_results(connection, delivery):
        values = {"sop_instance_uid": row.sop_instance_uid, "destination": delivery.destination, "at": now}
        connection.execute(upsert(stored).values(values).on_conflict_do_nothing())


def keep_results(connection: Connection, job_id: int, made: Sequence[Result], now: float) -> None:
    """These are the job's results now; what an earlier run made stays known, but is not sent any more."""
    connection.execute(update(results).where(results.c.job_id == job_id).values(current=False))
    for result in made:
        values = {
            "sop_instance_uid": result.sop_instance_uid,
            "job_id": job_id,
            "sop_class_uid": result.sop_class_uid,
            "series_instance_uid": result.series_instance_uid,
            "kind": result.kind.value,
            "rank": result.rank,
            "path": str(result.path),
            "created_at": now,
            "current": True,
            "purged": False,
        }
        connection.execute(
            upsert(results).values(values).on_conflict_do_update(index_elements=["sop_instance_uid"], set_=values)
        )
