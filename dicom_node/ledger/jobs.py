"""Jobs: claimed, and settled one way or another."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from dicom_node.errors import LedgerError, PermanentError
from dicom_node.ledger.database import Database
from dicom_node.ledger.dispatch import Destinations, queue_deliveries
from dicom_node.ledger.results import keep_results
from dicom_node.ledger.revisions import has_newer_revision
from dicom_node.ledger.rows import to_instance, to_job
from dicom_node.ledger.schema import instances, job_inputs, jobs
from dicom_node.ledger.transitions import change_state, fetch, is_overtaken
from dicom_node.lifecycle import Change, State
from dicom_node.model import Instance, Job, Result

FREE_INTERRUPTIONS = 2
LONGEST_INTERRUPTION_WAIT_S = 60.0
"""A job that went down with the node waits before it runs again, from the third time on, so that others get their turn."""


class Jobs:
    """The queue of engines to run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, now: float, worker: str = "") -> Job | None:
        """Take the most urgent job that is due: highest priority first, then the oldest."""
        due = select(jobs).where(jobs.c.state == State.QUEUED.value, jobs.c.not_before <= now)
        next_due = due.order_by(jobs.c.priority.desc(), jobs.c.created_at, jobs.c.id).limit(1)
        with self._database.read() as connection:  # an idle worker asks often and takes no write lock
            if connection.execute(next_due).first() is None:
                return None
        with self._database.write() as connection:
            row = connection.execute(next_due).first()
            if row is None:
                return None
            change_state(connection, row, jobs, Change.CLAIM, now, worker, attempts=row.attempts + 1, worker=worker)
            return to_job(fetch(connection, jobs, row.id))

    def finish(
        self, job_id: int, results: Sequence[Result], destinations: Destinations, summary: str = "", *, now: float
    ) -> bool:
        """Keep the results and queue their deliveries, in one transaction.

        Args:
            job_id: a running job.
            results: all forms of all objects that were made.
            destinations: their names, and the kinds of results that each takes.
            summary: what `why` says of the job, in words.
            now: the time.

        Returns:
            False if the job was superseded or cancelled meanwhile: its results are kept, and not delivered.
        """
        with self._database.write() as connection:
            row = fetch(connection, jobs, job_id)
            if is_overtaken(connection, row, jobs, Change.FINISH, now, summary):
                keep_results(connection, job_id, results, now)
                return False
            change_state(connection, row, jobs, Change.FINISH, now, summary, summary=summary, reason="", interruptions=0)
            keep_results(connection, job_id, results, now)
            queue_deliveries(connection, job_id, results, destinations, now)
        return True

    def hold(self, job_id: int, results: Sequence[Result], reason: str, *, now: float) -> bool:
        """Keep the results and deliver none: the node's own check failed. False if overtaken."""
        with self._database.write() as connection:
            keep_results(connection, job_id, results, now)
            return _settle(connection, job_id, Change.HOLD, reason, now)

    def retry(self, job_id: int, reason: str, *, not_before: float, now: float) -> bool:
        """Queue a running job again after a transient failure. False if overtaken."""
        with self._database.write() as connection:
            return _settle(connection, job_id, Change.RETRY, reason, now, not_before=not_before)

    def hand_back(self, job_id: int, *, now: float) -> bool:
        """Queue a running job again as if it had not been claimed: the node stops. False if overtaken."""
        with self._database.write() as connection:
            attempts = fetch(connection, jobs, job_id).attempts - 1
            return _settle(connection, job_id, Change.RETRY, "the node stopped", now, not_before=now, attempts=attempts)

    def refuse(self, job_id: int, reason: str, *, now: float) -> bool:
        """End a running job for good; a person may requeue it. False if overtaken."""
        with self._database.write() as connection:
            return _settle(connection, job_id, Change.REFUSE, reason, now)

    def requeue(self, job_id: int, *, now: float) -> None:
        """Run a settled job again, or a waiting one at once, because a person asks.

        Raises:
            LedgerError: there is no such job, or a newer revision replaced it.
            IllegalTransitionError: it is running or superseded.
        """
        with self._database.write() as connection:
            row = fetch(connection, jobs, job_id)
            if has_newer_revision(connection, row):
                raise LedgerError(f"Job {job_id} has a newer revision: requeue that one.")
            fresh: dict[str, object] = {"attempts": 0, "interruptions": 0, "not_before": now, "reason": ""}
            change_state(connection, row, jobs, Change.REQUEUE, now, "", **fresh)

    def cancel(self, job_id: int, reason: str = "", *, now: float) -> None:
        """Never run it, because a person says so.

        Raises:
            LedgerError: there is no such job.
            IllegalTransitionError: it is done or superseded.
        """
        with self._database.write() as connection:
            change_state(connection, fetch(connection, jobs, job_id), jobs, Change.CANCEL, now, reason, reason=reason)

    def release_interrupted(self, now: float, worker: str | None = None) -> tuple[Job, ...]:
        """Queue again what ran when the node died.

        Args:
            now: the time.
            worker: only jobs that this worker had claimed; None for all.

        Returns:
            The jobs as they are now.
        """
        running = select(jobs).where(jobs.c.state == State.RUNNING.value)
        if worker is not None:
            running = running.where(jobs.c.worker == worker)
        with self._database.write() as connection:
            rows = connection.execute(running.order_by(jobs.c.id)).all()
            for row in rows:
                _release(connection, row, now)
            return tuple(to_job(fetch(connection, jobs, row.id)) for row in rows)

    def get(self, job_id: int) -> Job:
        """One job.

        Raises:
            LedgerError: there is no such job.
        """
        with self._database.read() as connection:
            return to_job(fetch(connection, jobs, job_id))

    def inputs(self, job_id: int) -> dict[str, tuple[Instance, ...]]:
        """The instances that the job was queued for, in order of arrival; later ones are not among them.

        Returns:
            Those of its own series under an empty role, those of its companions under theirs.

        Raises:
            PermanentError: some were purged.
        """
        frozen = select(func.count()).select_from(job_inputs).where(job_inputs.c.job_id == job_id)
        joined = select(instances, job_inputs.c.role).join(
            job_inputs, job_inputs.c.sop_instance_uid == instances.c.sop_instance_uid
        )
        query = joined.where(job_inputs.c.job_id == job_id).order_by(instances.c.received_at, instances.c.id)
        with self._database.read() as connection:
            expected = connection.scalar(frozen) or 0
            rows = connection.execute(query).all()
        if len(rows) != expected:
            gone = expected - len(rows)
            raise PermanentError(f"{gone} of the {expected} instances of job {job_id} were purged: send the series again.")
        roles = dict.fromkeys(["", *(row.role for row in rows)])
        return {role: tuple(to_instance(row) for row in rows if row.role == role) for role in roles}

    def find(
        self,
        *,
        states: Collection[State] = (),
        study_instance_uid: str | None = None,
        series_instance_uid: str | None = None,
        engine: str | None = None,
        limit: int | None = None,
    ) -> tuple[Job, ...]:
        """Jobs that match everything given, newest first."""
        query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        if states:
            query = query.where(jobs.c.state.in_(_values(states)))
        wanted = {"study_instance_uid": study_instance_uid, "series_instance_uid": series_instance_uid, "engine": engine}
        for column, value in wanted.items():
            if value is not None:
                query = query.where(jobs.c[column] == value)
        with self._database.read() as connection:
            return tuple(to_job(row) for row in connection.execute(query))


def _settle(connection: Connection, job_id: int, change: Change, reason: str, now: float, **values: object) -> bool:
    row = fetch(connection, jobs, job_id)
    if is_overtaken(connection, row, jobs, change, now, reason):
        return False
    change_state(connection, row, jobs, change, now, reason, reason=reason, **values)
    return True


def _release(connection: Connection, row: Row[Any], now: float) -> None:
    """An interruption is no attempt: a killed node delays a result, and never gives it up."""
    count = row.interruptions + 1
    wait_s = min(LONGEST_INTERRUPTION_WAIT_S, 2.0 ** (count - FREE_INTERRUPTIONS)) if count > FREE_INTERRUPTIONS else 0.0
    reason = f"interrupted: the node stopped while it ran ({count} times)"
    values = {"not_before": now + wait_s, "interruptions": count, "attempts": row.attempts - 1, "reason": reason}
    change_state(connection, row, jobs, Change.RETRY, now, reason, **values)


def _values(states: Iterable[State]) -> list[str]:
    return [state.value for state in states]
