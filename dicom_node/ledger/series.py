"""Series: opened by an instance, closed by a decision, opened again by a late instance."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from dicom_node.ledger import schema
from dicom_node.ledger.database import Database
from dicom_node.ledger.history import record
from dicom_node.ledger.revisions import JobRequest, queue_job
from dicom_node.ledger.rows import to_instance
from dicom_node.model import Assessment, Decision, Instance, Series


class SeriesIndex:
    """The series and what was decided about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, *, quiet_since: float | None = None) -> tuple[Series, ...]:
        """Series still collecting, longest quiet first; only those without a new instance after `quiet_since`, if given."""
        table = schema.series
        query = select(table.c.series_instance_uid).where(table.c.open).order_by(table.c.last_received_at)
        if quiet_since is not None:
            query = query.where(table.c.last_received_at <= quiet_since)
        with self._database.read() as connection:
            uids = connection.scalars(query).all()
            found = [_load(connection, uid) for uid in uids]
        return tuple(series for series in found if series is not None)

    def get(self, series_instance_uid: str) -> Series | None:
        """The series with its instances; None if there is none, or its instances were purged."""
        with self._database.read() as connection:
            return _load(connection, series_instance_uid)

    def of_study(self, study_instance_uid: str) -> tuple[Series, ...]:
        """The series of a study, open and closed, that have instances."""
        table = schema.series
        with self._database.read() as connection:
            query = select(table.c.series_instance_uid).where(table.c.study_instance_uid == study_instance_uid)
            uids = connection.scalars(query.order_by(table.c.series_instance_uid)).all()
            found = [_load(connection, uid) for uid in uids]
        return tuple(series for series in found if series is not None)

    def is_open(self, series_instance_uid: str) -> bool:
        with self._database.read() as connection:
            row = _row(connection, series_instance_uid)
        return row is not None and bool(row.open)

    def close(
        self,
        seen: Series,
        *,
        assessment: Assessment,
        decisions: Sequence[Decision],
        jobs: Sequence[JobRequest],
        now: float,
    ) -> bool:
        """Close a series, keep the decisions and queue the jobs, in one transaction.

        Args:
            seen: the series as it was assessed and routed; its instances become the inputs of the jobs.
            assessment: why it is closed now.
            decisions: for every engine, chosen or not.
            jobs: one per chosen engine. A request whose input digest has a job already queues none.
            now: the time.

        Returns:
            False, and nothing is changed, if an instance arrived after `seen` was read, or it is closed already.
        """
        with self._database.write() as connection:
            row = _row(connection, seen.series_instance_uid)
            if row is None or not row.open or not _is_current(connection, seen):
                return False
            _close(connection, seen, row.generation, assessment, decisions, now)
            for request in jobs:
                queue_job(connection, seen, request, now)
        return True

    def reopen(self, series_instance_uid: str, because: str, now: float) -> None:
        """Have a closed series decided on again, though none of its own instances is new."""
        table = schema.series
        with self._database.write() as connection:
            row = _row(connection, series_instance_uid)
            if row is not None and not row.open:
                values = {"open": True, "generation": row.generation + 1}
                connection.execute(update(table).where(table.c.series_instance_uid == series_instance_uid).values(values))
                record(connection, now, "series", series_instance_uid, "reopened", because)


def open_series(connection: Connection, new: Sequence[Instance]) -> None:
    """Open the series of instances that were just added, again if need be."""
    per_series: dict[str, list[Instance]] = {}
    for instance in new:
        per_series.setdefault(instance.series_instance_uid, []).append(instance)
    for series_instance_uid, instances in per_series.items():
        row = _row(connection, series_instance_uid)
        if row is None:
            _create(connection, instances)
        else:
            _extend(connection, row, instances)


def studies_of(connection: Connection, series_instance_uids: Iterable[str]) -> dict[str, str]:
    """The study that each known series belongs to."""
    rows = (_row(connection, uid) for uid in series_instance_uids)
    return {row.series_instance_uid: row.study_instance_uid for row in rows if row is not None}


def _create(connection: Connection, instances: Sequence[Instance]) -> None:
    first = instances[0]
    values = {
        "series_instance_uid": first.series_instance_uid,
        "study_instance_uid": first.study_instance_uid,
        "accession_number": first.first("AccessionNumber"),
        "modality": first.first("Modality"),
        "series_number": first.first("SeriesNumber"),
        "series_description": first.first("SeriesDescription"),
        "open": True,
        "generation": 1,
        "instance_count": len(instances),
        "last_received_at": max(instance.received_at for instance in instances),
    }
    connection.execute(insert(schema.series), values)
    record(connection, first.received_at, "series", first.series_instance_uid, "opened", "first instance received")


def _extend(connection: Connection, row: Row[Any], instances: Sequence[Instance]) -> None:
    last = max(instance.received_at for instance in instances)
    values = {
        "open": True,
        "generation": row.generation if row.open else row.generation + 1,
        "instance_count": row.instance_count + len(instances),
        "last_received_at": max(row.last_received_at, last),
    }
    table = schema.series
    connection.execute(update(table).where(table.c.series_instance_uid == row.series_instance_uid).values(values))
    if not row.open:
        detail = f"{len(instances)} late after {row.instance_count} instances"
        record(connection, last, "series", row.series_instance_uid, "reopened", detail)


def _close(
    connection: Connection,
    seen: Series,
    generation: int,
    assessment: Assessment,
    decisions: Sequence[Decision],
    now: float,
) -> None:
    values = {
        "open": False,
        "closed_at": now,
        "completeness": assessment.completeness.value,
        "reason": assessment.reason,
        "missing_count": assessment.missing_count,
    }
    table, uid = schema.series, seen.series_instance_uid
    connection.execute(update(table).where(table.c.series_instance_uid == uid).values(values))
    record(
        connection,
        now,
        "series",
        uid,
        "closed",
        f"{len(seen.instances)} instances, {assessment.completeness.value}: {assessment.reason}",
    )
    rows = [
        {
            "series_instance_uid": uid,
            "generation": generation,
            "engine": decision.engine,
            "chosen": decision.chosen,
            "reason": decision.reason,
        }
        for decision in decisions
    ]
    if rows:
        connection.execute(insert(schema.decisions), rows)


def _is_current(connection: Connection, seen: Series) -> bool:
    table = schema.instances
    query = select(table.c.sop_instance_uid).where(table.c.series_instance_uid == seen.series_instance_uid)
    return set(connection.scalars(query)) == {instance.sop_instance_uid for instance in seen.instances}


def _row(connection: Connection, series_instance_uid: str) -> Row[Any] | None:
    table = schema.series
    return connection.execute(select(table).where(table.c.series_instance_uid == series_instance_uid)).one_or_none()


def _load(connection: Connection, series_instance_uid: str) -> Series | None:
    table = schema.instances
    query = select(table).where(table.c.series_instance_uid == series_instance_uid).order_by(table.c.received_at, table.c.id)
    instances = tuple(to_instance(row) for row in connection.execute(query))
    return Series(series_instance_uid, instances[0].study_instance_uid, instances) if instances else None
