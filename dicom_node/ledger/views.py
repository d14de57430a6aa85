"""What a person asks the ledger: how things stand, and why."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, Table, func, or_, select

from dicom_node.ledger import schema
from dicom_node.ledger.database import Database
from dicom_node.ledger.story import Why, WhyJob, WhySeries, tell
from dicom_node.lifecycle import State

__all__ = ["Status", "Views", "Why", "WhyJob", "WhySeries"]


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand.

    Attributes:
        jobs: how many in each state; states without any are absent.
        deliveries: the same per destination.
        oldest_queued_job_at: when the oldest waiting job was created; None if none waits.
        oldest_undelivered_at: the same per destination, for deliveries that are queued, running or awaiting.
        last_received_at: of any instance; None if the ledger holds none.
    """

    open_series: int
    instances: int
    quarantined: int
    jobs: dict[State, int] = field(default_factory=dict)
    deliveries: dict[str, dict[State, int]] = field(default_factory=dict)
    oldest_queued_job_at: float | None = None
    oldest_undelivered_at: dict[str, float] = field(default_factory=dict)
    last_received_at: float | None = None


class Views:
    """Questions across all tables; each answer is one snapshot."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def status(self) -> Status:
        """Counts, and since when things wait."""
        waiting = schema.jobs.c.state == State.QUEUED.value
        with self._database.read() as connection:
            return Status(
                open_series=_count(connection, schema.series, schema.series.c.open),
                instances=_count(connection, schema.instances),
                quarantined=_count(connection, schema.quarantined),
                jobs=_jobs_by_state(connection),
                deliveries=_deliveries_by_state(connection),
                oldest_queued_job_at=connection.scalar(select(func.min(schema.jobs.c.created_at)).where(waiting)),
                oldest_undelivered_at=_undelivered(connection),
                last_received_at=connection.scalar(select(func.max(schema.series.c.last_received_at))),
            )

    def why(self, term: str) -> tuple[Why, ...]:
        """All that is known of the studies with this accession number, or with this study, series or SOP Instance UID.

        Args:
            term: exactly as DICOM has it; also the UID of a result, also of purged studies.

        Returns:
            Empty if nothing is known.
        """
        with self._database.read() as connection:
            return tuple(tell(connection, uid) for uid in _find_studies(connection, term))


def _find_studies(connection: Connection, term: str) -> list[str]:
    if not term:
        return []
    series, inputs, jobs, results = schema.series, schema.job_inputs, schema.jobs, schema.results
    named = or_(series.c.accession_number == term, series.c.study_instance_uid == term, series.c.series_instance_uid == term)
    received = select(schema.instances.c.study_instance_uid).where(schema.instances.c.sop_instance_uid == term)
    used = select(jobs.c.study_instance_uid).join(inputs).where(inputs.c.sop_instance_uid == term)
    made = select(jobs.c.study_instance_uid).join(results)
    made = made.where(or_(results.c.sop_instance_uid == term, results.c.series_instance_uid == term))
    found = select(series.c.study_instance_uid).where(named).union(received, used, made)
    return sorted(connection.scalars(found))


def _count(connection: Connection, table: Table, *conditions: object) -> int:
    query = select(func.count()).select_from(table)
    for condition in conditions:
        query = query.where(condition)  # type: ignore[arg-type]
    return connection.scalar(query) or 0


def _jobs_by_state(connection: Connection) -> dict[State, int]:
    rows = connection.execute(select(schema.jobs.c.state, func.count()).group_by(schema.jobs.c.state))
    return {State(row[0]): row[1] for row in rows}


def _deliveries_by_state(connection: Connection) -> dict[str, dict[State, int]]:
    columns = schema.deliveries.c
    query = select(columns.destination, columns.state, func.count()).group_by(columns.destination, columns.state)
    counted: dict[str, dict[State, int]] = {}
    for destination, state, number in connection.execute(query):
        counted.setdefault(destination, {})[State(state)] = number
    return counted


def _undelivered(connection: Connection) -> dict[str, float]:
    columns = schema.deliveries.c
    under_way = columns.state.in_([State.QUEUED.value, State.RUNNING.value, State.AWAITING.value])
    query = select(columns.destination, func.min(columns.created_at)).where(under_way).group_by(columns.destination)
    return {row[0]: row[1] for row in connection.execute(query)}
