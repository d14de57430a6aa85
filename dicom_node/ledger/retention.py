"""Retention: what may be deleted, and what never is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, select, update

from dicom_node.ledger.database import Database
from dicom_node.ledger.history import record
from dicom_node.ledger.schema import deliveries, instances, jobs, results, series
from dicom_node.lifecycle import State

SETTLED = (State.DONE.value, State.SUPERSEDED.value, State.CANCELLED.value)


@dataclass(frozen=True, slots=True)
class Purgeable:
    """A study that nobody waits for, and its files."""

    study_instance_uid: str
    instance_paths: tuple[Path, ...]
    result_paths: tuple[Path, ...]


class Retention:
    """Old studies whose results have all reached their destinations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def purgeable(self, now: float, age_s: float) -> tuple[Purgeable, ...]:
        """Studies with files, oldest first, in which nothing changed for `age_s`, no series is open, and every job and
        delivery is done, superseded or cancelled; never one with something failed, held or undelivered.
        """
        with self._database.read() as connection:
            return tuple(_files(connection, uid) for uid in _settled_studies(connection, now - age_s))

    def purge(self, study_instance_uids: Sequence[str], *, age_s: float, now: float) -> tuple[Purgeable, ...]:
        """Forget the instances of these studies, as far as they are purgeable still; their jobs and results stay known,
        so that the same study sent again makes no second result.

        Returns:
            Whose files are to be deleted now.
        """
        with self._database.write() as connection:
            settled = [uid for uid in _settled_studies(connection, now - age_s) if uid in set(study_instance_uids)]
            purged = tuple(_files(connection, uid) for uid in settled)
            for study in purged:
                _forget(connection, study, now)
        return purged


def _settled_studies(connection: Connection, before: float) -> list[str]:
    """Study Instance UIDs; each exclusion is the study of something that is unsettled or too young."""
    busy_series = select(series.c.study_instance_uid).where(series.c.open | (series.c.last_received_at > before))
    young_series = select(series.c.study_instance_uid).where(series.c.closed_at > before)
    unsettled = jobs.c.state.not_in(SETTLED) | (jobs.c.updated_at > before)
    busy_jobs = select(jobs.c.study_instance_uid).where(unsettled)
    undelivered = deliveries.c.state.not_in(SETTLED) | (deliveries.c.updated_at > before)
    busy_deliveries = select(jobs.c.study_instance_uid).join(deliveries, deliveries.c.job_id == jobs.c.id).where(undelivered)
    query = select(instances.c.study_instance_uid).group_by(instances.c.study_instance_uid)
    for busy in (busy_series, young_series, busy_jobs, busy_deliveries):
        query = query.where(instances.c.study_instance_uid.not_in(busy))
    return list(connection.scalars(query.order_by(instances.c.received_at)))


def _files(connection: Connection, study_instance_uid: str) -> Purgeable:
    received = select(instances.c.path).where(instances.c.study_instance_uid == study_instance_uid).order_by(instances.c.id)
    made = select(results.c.path).join(jobs).where(jobs.c.study_instance_uid == study_instance_uid, ~results.c.purged)
    return Purgeable(
        study_instance_uid,
        tuple(map(Path, connection.scalars(received))),
        tuple(map(Path, connection.scalars(made.order_by(results.c.path)))),
    )


def _forget(connection: Connection, study: Purgeable, now: float) -> None:
    uid = study.study_instance_uid
    connection.execute(delete(instances).where(instances.c.study_instance_uid == uid))
    of_study = select(jobs.c.id).where(jobs.c.study_instance_uid == uid)
    connection.execute(update(results).where(results.c.job_id.in_(of_study)).values(purged=True))
    table = series
    for series_uid in connection.scalars(select(table.c.series_instance_uid).where(table.c.study_instance_uid == uid)).all():
        record(connection, now, "series", series_uid, "purged", "its files are deleted")
    connection.execute(update(table).where(table.c.study_instance_uid == uid).values(instance_count=0))
