"""Deliveries: each destination has a queue of its own, so that a dead one holds up no other."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, insert, select

from dicom_node.errors import LedgerError
from dicom_node.ledger.commitments import apply_reports
from dicom_node.ledger.database import Database
from dicom_node.ledger.history import record
from dicom_node.ledger.results import mark_stored, sent_results
from dicom_node.ledger.revisions import has_newer_revision
from dicom_node.ledger.rows import to_delivery
from dicom_node.ledger.schema import deliveries, jobs, transactions
from dicom_node.ledger.transitions import change_state, fetch, is_overtaken
from dicom_node.ledger.unsent import settle_unsent
from dicom_node.lifecycle import Change, State
from dicom_node.model import Delivery


class Deliveries:
    """The queues of results to send."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, destination: str, now: float) -> Delivery | None:
        """Take the next delivery to a destination: most urgent job first, and of one job the SEG before the SR."""
        next_due = _next_due(destination, now)
        with self._database.read() as connection:
            if connection.execute(next_due).first() is None:
                return None
        with self._database.write() as connection:
            row = connection.execute(next_due).first()
            if row is None:
                return None
            change_state(connection, row, deliveries, Change.CLAIM, now, attempts=row.attempts + 1)
            return to_delivery(fetch(connection, deliveries, row.id))

    def finish(self, delivery_id: int, *, status: int | None, message: str = "", now: float) -> bool:
        """The destination has it, and no commitment is asked for. False if overtaken (then that it was stored is kept)."""
        with self._database.write() as connection:
            return _stored(connection, delivery_id, Change.FINISH, status, message, now)

    def sent(
        self, delivery_id: int, transaction_uid: str, *, due_at: float, status: int | None, message: str = "", now: float
    ) -> bool:
        """The destination has it; storage commitment is asked for under this UID. Call before the N-ACTION is sent.

        Args:
            delivery_id: a running delivery.
            transaction_uid: new for each request; its report may come at any time from now on, or be here already.
            due_at: when `awaiting` names it for a follow-up.
            status: of the C-STORE.
            message: what the destination said, warnings above all.
            now: the time.
        """
        values = {"not_before": due_at, "transaction_uid": transaction_uid}
        with self._database.write() as connection:
            if not _stored(connection, delivery_id, Change.SEND, status, message, now, **values):
                return False
            _begin_transaction(connection, delivery_id, transaction_uid, now)
        return True

    def ask_again(self, delivery_id: int, transaction_uid: str, *, due_at: float, now: float) -> bool:
        """Ask for commitment again under a new Transaction UID. False if it is not awaited any more."""
        with self._database.write() as connection:
            row = fetch(connection, deliveries, delivery_id)
            if State(row.state) is not State.AWAITING:
                return False
            values = {"not_before": due_at, "transaction_uid": transaction_uid, "updated_at": now}
            connection.execute(deliveries.update().where(deliveries.c.id == delivery_id).values(values))
            record(connection, now, "delivery", delivery_id, "asked again", transaction_uid)
            _begin_transaction(connection, delivery_id, transaction_uid, now)
        return True

    def confirm(self, delivery_id: int, message: str = "", *, now: float) -> bool:
        """The destination has it safely (read back). False if it is not awaited any more."""
        with self._database.write() as connection:
            row = fetch(connection, deliveries, delivery_id)
            if State(row.state) is not State.AWAITING:
                return False
            change_state(connection, row, deliveries, Change.CONFIRM, now, message, message=message)
        return True

    def retry(self, delivery_id: int, *, not_before: float, status: int | None = None, message: str = "", now: float) -> bool:
        """Send it again later, or never if a newer revision exists. False if overtaken."""
        return self._settle(delivery_id, Change.RETRY, message, now, status=status, not_before=not_before)

    def refuse(self, delivery_id: int, *, status: int | None = None, message: str = "", now: float) -> bool:
        """The destination will not have it: dead letter. False if overtaken."""
        return self._settle(delivery_id, Change.REFUSE, message, now, status=status)

    def hold(self, delivery_id: int, *, message: str = "", now: float) -> bool:
        """The node's own check stopped it. False if overtaken."""
        return self._settle(delivery_id, Change.HOLD, message, now)

    def next_rank(self, delivery_id: int, *, status: int | None = None, message: str = "", now: float) -> bool:
        """Send the next form of the same content at once; dead letter and False if there is none (or if overtaken)."""
        with self._database.write() as connection:
            row = fetch(connection, deliveries, delivery_id)
            if is_overtaken(connection, row, deliveries, Change.RETRY, now, message):
                return False
            if not _has_rank(connection, row, row.rank + 1):
                settle_unsent(connection, row, Change.REFUSE, now, message, status=status)
                return False
            settle_unsent(connection, row, Change.RETRY, now, message, status=status, not_before=now, rank=row.rank + 1)
        return True

    def requeue(self, delivery_id: int, *, now: float) -> None:
        """Send it again at once, in its preferred form, because a person asks.

        Raises:
            LedgerError: there is no such delivery, or a newer revision replaced its job.
            IllegalTransitionError: it is under way or superseded.
        """
        with self._database.write() as connection:
            row = fetch(connection, deliveries, delivery_id)
            if has_newer_revision(connection, fetch(connection, jobs, row.job_id)):
                raise LedgerError(f"Delivery {delivery_id} is of an older revision: requeue one of the newest.")
            change_state(connection, row, deliveries, Change.REQUEUE, now, attempts=0, not_before=now, rank=0)

    def cancel(self, delivery_id: int, reason: str = "", *, now: float) -> None:
        """Never send it, because a person says so.

        Raises:
            LedgerError: there is no such delivery.
            IllegalTransitionError: it is done or superseded.
        """
        with self._database.write() as connection:
            row = fetch(connection, deliveries, delivery_id)
            change_state(connection, row, deliveries, Change.CANCEL, now, reason, message=reason)

    def release_interrupted(self, now: float) -> tuple[Delivery, ...]:
        """Queue again what was being sent when the node died; sending twice is harmless, the UIDs are the same."""
        with self._database.write() as connection:
            rows = connection.execute(select(deliveries).where(deliveries.c.state == State.RUNNING.value)).all()
            for row in rows:
                settle_unsent(connection, row, Change.RETRY, now, "interrupted while it was sent", not_before=now)
            return tuple(to_delivery(fetch(connection, deliveries, row.id)) for row in rows)

    def get(self, delivery_id: int) -> Delivery:
        """One delivery.

        Raises:
            LedgerError: there is no such delivery.
        """
        with self._database.read() as connection:
            return to_delivery(fetch(connection, deliveries, delivery_id))

    def awaiting(self, now: float) -> tuple[Delivery, ...]:
        """Deliveries whose commitment report is overdue, longest first."""
        due = (deliveries.c.state == State.AWAITING.value, deliveries.c.not_before <= now)
        return self._select(select(deliveries).where(*due).order_by(deliveries.c.not_before))

    def by_transaction(self, transaction_uid: str) -> Delivery | None:
        """The delivery for which commitment was ever asked under this UID."""
        query = select(deliveries).join(transactions).where(transactions.c.transaction_uid == transaction_uid)
        return next(iter(self._select(query)), None)

    def of_job(self, job_id: int) -> tuple[Delivery, ...]:
        query = select(deliveries).where(deliveries.c.job_id == job_id)
        return self._select(query.order_by(deliveries.c.destination, deliveries.c.kind_order))

    def find(
        self, *, states: Collection[State] = (), destination: str | None = None, limit: int | None = None
    ) -> tuple[Delivery, ...]:
        """Deliveries that match everything given, newest first."""
        query = select(deliveries).order_by(deliveries.c.id.desc()).limit(limit)
        if states:
            query = query.where(deliveries.c.state.in_([state.value for state in states]))
        if destination is not None:
            query = query.where(deliveries.c.destination == destination)
        return self._select(query)

    def destinations_with_work(self, now: float | None = None) -> tuple[str, ...]:
        """Destinations with something queued; only what is due, if `now` is given."""
        query = select(deliveries.c.destination).where(deliveries.c.state == State.QUEUED.value).distinct()
        if now is not None:
            query = query.where(deliveries.c.not_before <= now)
        with self._database.read() as connection:
            return tuple(connection.scalars(query.order_by(deliveries.c.destination)))

    def _settle(self, delivery_id: int, change: Change, message: str, now: float, **values: object) -> bool:
        with self._database.write() as connection:
            row = fetch(connection, deliveries, delivery_id)
            if is_overtaken(connection, row, deliveries, change, now, message):
                return False
            settle_unsent(connection, row, change, now, message, **values)
        return True

    def _select(self, query: Select[Any]) -> tuple[Delivery, ...]:
        with self._database.read() as connection:
            return tuple(to_delivery(row) for row in connection.execute(query))


def _next_due(destination: str, now: float) -> Select[Any]:
    before = deliveries.alias("before")
    unsent_before = exists().where(
        before.c.job_id == deliveries.c.job_id,
        before.c.destination == deliveries.c.destination,
        before.c.kind_order < deliveries.c.kind_order,
        before.c.state.in_([State.QUEUED.value, State.RUNNING.value]),
    )
    return (
        select(deliveries)
        .join(jobs, jobs.c.id == deliveries.c.job_id)
        .where(deliveries.c.state == State.QUEUED.value, deliveries.c.destination == destination)
        .where(deliveries.c.not_before <= now, ~unsent_before)
        .order_by(jobs.c.priority.desc(), deliveries.c.job_id, deliveries.c.kind_order)
        .limit(1)
    )


def _stored(
    connection: Connection, delivery_id: int, change: Change, status: int | None, message: str, now: float, **values: object
) -> bool:
    row = fetch(connection, deliveries, delivery_id)
    mark_stored(connection, row, now)
    if is_overtaken(connection, row, deliveries, change, now, message):
        return False
    change_state(connection, row, deliveries, change, now, message, status=status, message=message, **values)
    return True


def _begin_transaction(connection: Connection, delivery_id: int, transaction_uid: str, now: float) -> None:
    values = {"transaction_uid": transaction_uid, "delivery_id": delivery_id, "requested_at": now}
    connection.execute(insert(transactions), values)
    apply_reports(connection, transaction_uid, now)


def _has_rank(connection: Connection, row: Row[Any], rank: int) -> bool:
    return bool(sent_results(connection, row, rank))
