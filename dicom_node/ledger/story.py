"""The story of a study: series, decisions, jobs, results, deliveries and events."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from dicom_node.ledger import schema
from dicom_node.ledger.history import events_of
from dicom_node.ledger.rows import to_delivery, to_job, to_result
from dicom_node.model import Assessment, Completeness, Decision, Delivery, Event, Job, Result


@dataclass(frozen=True, slots=True)
class WhyJob:
    """A job, what it made, and where that went."""

    job: Job
    summary: str
    results: tuple[Result, ...]
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class WhySeries:
    """A series and what followed from it.

    Attributes:
        instance_count: received and still here; 0 after a purge.
        generation: how often it was opened.
        assessment: None until it was closed once.
        decisions: of the last time that it was closed.
    """

    series_instance_uid: str
    modality: str
    series_number: str
    series_description: str
    instance_count: int
    last_received_at: float
    open: bool
    generation: int
    assessment: Assessment | None
    decisions: tuple[Decision, ...]
    jobs: tuple[WhyJob, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """All that the ledger knows of a study; events in the order in which they happened."""

    study_instance_uid: str
    accession_number: str
    series: tuple[WhySeries, ...]
    events: tuple[Event, ...]


def tell(connection: Connection, study_instance_uid: str) -> Why:
    table = schema.series
    query = select(table).where(table.c.study_instance_uid == study_instance_uid)
    rows = connection.execute(query.order_by(table.c.series_number, table.c.series_instance_uid)).all()
    series = tuple(_series(connection, row) for row in rows)
    accession_number = next((row.accession_number for row in rows if row.accession_number), "")
    return Why(study_instance_uid, accession_number, series, _events(connection, study_instance_uid, series))


def _series(connection: Connection, row: Row[Any]) -> WhySeries:
    assessed = row.completeness is not None
    jobs = select(schema.jobs).where(schema.jobs.c.series_instance_uid == row.series_instance_uid).order_by(schema.jobs.c.id)
    return WhySeries(
        series_instance_uid=row.series_instance_uid,
        modality=row.modality,
        series_number=row.series_number,
        series_description=row.series_description,
        instance_count=row.instance_count,
        last_received_at=row.last_received_at,
        open=row.open,
        generation=row.generation,
        assessment=Assessment(Completeness(row.completeness), row.reason, row.missing_count) if assessed else None,
        decisions=_decisions(connection, row.series_instance_uid),
        jobs=tuple(_job(connection, job) for job in connection.execute(jobs).all()),
    )


def _decisions(connection: Connection, series_instance_uid: str) -> tuple[Decision, ...]:
    table = schema.decisions
    of_series = select(table).where(table.c.series_instance_uid == series_instance_uid)
    rows = connection.execute(of_series.order_by(table.c.id)).all()
    return tuple(
        Decision(row.engine, row.series_instance_uid, row.chosen, row.reason)
        for row in rows
        if row.generation == rows[-1].generation
    )


def _job(connection: Connection, row: Row[Any]) -> WhyJob:
    made, sent = schema.results, schema.deliveries
    results = connection.execute(select(made).where(made.c.job_id == row.id, made.c.current).order_by(made.c.kind, made.c.rank))
    deliveries = connection.execute(select(sent).where(sent.c.job_id == row.id).order_by(sent.c.destination, sent.c.kind_order))
    return WhyJob(
        job=to_job(row),
        summary=row.summary,
        results=tuple(to_result(result) for result in results),
        deliveries=tuple(to_delivery(delivery) for delivery in deliveries),
    )


def _events(connection: Connection, study_instance_uid: str, series: tuple[WhySeries, ...]) -> tuple[Event, ...]:
    jobs = [job for one in series for job in one.jobs]
    instances = select(schema.instances.c.sop_instance_uid).where(schema.instances.c.study_instance_uid == study_instance_uid)
    found = [
        *events_of(connection, "series", [one.series_instance_uid for one in series]),
        *events_of(connection, "instance", connection.scalars(instances)),
        *events_of(connection, "job", [job.job.job_id for job in jobs]),
        *events_of(connection, "delivery", [sent.delivery_id for job in jobs for sent in job.deliveries]),
    ]
    return tuple(sorted(found, key=lambda event: event.at))
