"""Revisions: a series that grew replaces its earlier jobs, and never makes a second result beside the first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from dicom_node.ledger import schema
from dicom_node.ledger.history import record
from dicom_node.ledger.transitions import change_state
from dicom_node.lifecycle import Change, State
from dicom_node.model import ResultKind, Series

REPLACED_JOBS = (State.QUEUED, State.RUNNING, State.FAILED, State.HELD)
REPLACED_DELIVERIES = (State.QUEUED, State.FAILED, State.HELD)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job to be queued when its series is closed.

    Attributes:
        input_digest: says which inputs; the same digest never makes a second job for the same engine.
        priority: higher first.
        remark: what the result must say of its input, else empty.
        destinations: names of those that take the results.
        companions: other series of the study that the engine looks at, by role.
    """

    engine: str
    input_digest: str
    priority: int = 0
    remark: str = ""
    destinations: tuple[str, ...] = ()
    companions: Mapping[str, Series] = field(default_factory=dict)


def queue_job(connection: Connection, series: Series, request: JobRequest, now: float) -> int | None:
    """Queue the next revision and supersede the earlier ones; None if these inputs need no job."""
    earlier = _jobs_of(connection, series.series_instance_uid, request.engine)
    inputs = {instance.sop_instance_uid: role for role, of in _inputs(series, request) for instance in of.instances}
    refusal = _no_job_because(connection, earlier, request, inputs)
    if refusal:
        record(connection, now, "series", series.series_instance_uid, "no job", f"{request.engine}: {refusal}")
        return None
    revision = earlier[-1].revision + 1 if earlier else 1
    predecessors = _predecessors(connection, [row.id for row in earlier])
    for row in earlier:
        supersede(connection, row, revision, now)
    job_id = _insert(connection, series, request, revision, predecessors, now)
    rows = [{"job_id": job_id, "sop_instance_uid": uid, "role": role} for uid, role in sorted(inputs.items())]
    connection.execute(insert(schema.job_inputs), rows)
    counted = [f"{len(of.instances)} instances{f' for {role}' if role else ''}" for role, of in _inputs(series, request)]
    record(connection, now, "job", job_id, "queued", ", ".join([request.engine, f"revision {revision}", *counted]))
    return job_id


def _inputs(series: Series, request: JobRequest) -> list[tuple[str, Series]]:
    """The job's own series under an empty role, and its companions."""
    return [("", series), *sorted(request.companions.items())]


def has_newer_revision(connection: Connection, job: Row[Any]) -> bool:
    table = schema.jobs
    query = select(table.c.id).where(
        table.c.series_instance_uid == job.series_instance_uid, table.c.engine == job.engine, table.c.revision > job.revision
    )
    return connection.execute(query.limit(1)).first() is not None


def supersede(connection: Connection, job: Row[Any], revision: int, now: float) -> None:
    """End a job and its deliveries as far as nothing was sent."""
    detail = f"revision {revision} replaces it"
    if State(job.state) in REPLACED_JOBS:
        change_state(connection, job, schema.jobs, Change.SUPERSEDE, now, detail, reason=detail)
    table = schema.deliveries
    for row in connection.execute(select(table).where(table.c.job_id == job.id)).all():
        if State(row.state) in REPLACED_DELIVERIES:
            change_state(connection, row, table, Change.SUPERSEDE, now, detail, message=detail)


def _jobs_of(connection: Connection, series_instance_uid: str, engine: str) -> list[Row[Any]]:
    table = schema.jobs
    query = select(table).where(table.c.series_instance_uid == series_instance_uid, table.c.engine == engine)
    return list(connection.execute(query.order_by(table.c.revision)))


def _no_job_because(connection: Connection, earlier: list[Row[Any]], request: JobRequest, inputs: Mapping[str, str]) -> str:
    same = [row for row in earlier if row.input_digest == request.input_digest]
    if same:
        return f"job {same[0].id} had the same inputs"
    if not earlier:
        return ""
    table = schema.job_inputs
    rows = connection.execute(select(table.c.sop_instance_uid, table.c.role).where(table.c.job_id == earlier[-1].id)).all()
    lost = sorted({row.role for row in rows} - {""} - set(request.companions))
    if lost:
        return f"the series for {', '.join(lost)} of job {earlier[-1].id} is no longer here. Send the study again in full."
    before = {row.sop_instance_uid for row in rows if not row.role}
    missing = len(before - inputs.keys())
    if not missing:
        return ""
    return (
        f"{missing} of the {len(before)} instances of job {earlier[-1].id} are no longer here; a result of the rest would "
        "replace a better one. Send the series again in full."
    )


def _predecessors(connection: Connection, job_ids: list[int]) -> list[tuple[str, str, str]]:
    """SRs of these jobs that a destination has, or may have because they are being sent now."""
    sending, made = schema.deliveries, schema.results
    under_way = (
        select(made.c.sop_instance_uid)
        .join(sending, (sending.c.job_id == made.c.job_id) & (sending.c.kind == made.c.kind) & (sending.c.rank == made.c.rank))
        .where(sending.c.state == State.RUNNING.value, made.c.current)
    )
    at_a_destination = made.c.sop_instance_uid.in_(select(schema.stored.c.sop_instance_uid).union(under_way))
    query = (
        select(made.c.sop_class_uid, made.c.sop_instance_uid, made.c.series_instance_uid)
        .where(made.c.job_id.in_(job_ids), made.c.kind == ResultKind.SR.value, at_a_destination)
        .order_by(made.c.job_id, made.c.rank, made.c.sop_instance_uid)
    )
    return [(row.sop_class_uid, row.sop_instance_uid, row.series_instance_uid) for row in connection.execute(query)]


def _insert(
    connection: Connection,
    series: Series,
    request: JobRequest,
    revision: int,
    predecessors: list[tuple[str, str, str]],
    now: float,
) -> int:
    values = {
        "study_instance_uid": series.study_instance_uid,
        "series_instance_uid": series.series_instance_uid,
        "engine": request.engine,
        "revision": revision,
        "input_digest": request.input_digest,
        "state": State.QUEUED.value,
        "not_before": now,
        "priority": request.priority,
        "created_at": now,
        "updated_at": now,
        "as_of": max(of.last_received_at for _, of in _inputs(series, request)),
        "calling_ae_title": series.instances[0].calling_ae_title,
        "remark": request.remark,
        "destinations": list(request.destinations),
        "predecessors": predecessors,
    }
    return int(connection.execute(insert(schema.jobs).returning(schema.jobs.c.id), values).scalar_one())
