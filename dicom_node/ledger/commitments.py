"""Storage commitment: what destinations report, matched to deliveries.

Source: DICOM PS3.4 Annex J.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from dicom_node.ledger.database import Database
from dicom_node.ledger.history import record
from dicom_node.ledger.results import sent_results
from dicom_node.ledger.schema import commitment_reports, deliveries, transactions
from dicom_node.ledger.transitions import change_state, fetch
from dicom_node.ledger.unsent import settle_unsent
from dicom_node.lifecycle import Change, State

RESEND_FIRST_S = 30.0
RESEND_CAP_S = 1800.0

Committed = Sequence[tuple[str, str]]
"""(SOP Class UID, SOP Instance UID)."""

Failed = Sequence[tuple[str, str, int]]
"""(SOP Class UID, SOP Instance UID, Failure Reason)."""


class Commitments:
    """Reports of storage commitment, kept whether or not they fit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, transaction_uid: str, committed: Committed, failed: Failed, *, now: float) -> bool:
        """Keep an N-EVENT-REPORT and settle its delivery: done if all is committed, sent again if anything failed.

        Returns:
            False if no commitment was asked for under this UID (yet); the report is kept, and applied when it is.
        """
        values = {
            "transaction_uid": transaction_uid,
            "reported_at": now,
            "committed": [list(entry) for entry in committed],
            "failed": [list(entry) for entry in failed],
            "note": "no commitment was asked for under this Transaction UID",
            "applied": False,
        }
        with self._database.write() as connection:
            connection.execute(insert(commitment_reports), values)
            return apply_reports(connection, transaction_uid, now)

    def unmatched(self) -> tuple[str, ...]:
        """Transaction UIDs that were reported and never asked for."""
        query = select(commitment_reports.c.transaction_uid).where(~commitment_reports.c.applied).distinct()
        with self._database.read() as connection:
            return tuple(connection.scalars(query.order_by(commitment_reports.c.transaction_uid)))


def apply_reports(connection: Connection, transaction_uid: str, now: float) -> bool:
    """Apply the kept reports of a transaction; False if the transaction is unknown."""
    asked = connection.execute(select(transactions).where(transactions.c.transaction_uid == transaction_uid)).one_or_none()
    if asked is None:
        return False
    table = commitment_reports
    pending = select(table).where(table.c.transaction_uid == transaction_uid, ~table.c.applied).order_by(table.c.id)
    for report in connection.execute(pending).all():
        note = _apply(connection, fetch(connection, deliveries, asked.delivery_id), report, now)
        connection.execute(update(table).where(table.c.id == report.id).values(applied=True, note=note))
    return True


def _apply(connection: Connection, delivery: Row[Any], report: Row[Any], now: float) -> str:
    sent = {row.sop_instance_uid for row in sent_results(connection, delivery)}
    failed = {uid: reason for _, uid, reason in report.failed if uid in sent}
    committed = {uid for _, uid in report.committed} & sent
    if State(delivery.state) is not State.AWAITING:
        note = f"the delivery was {delivery.state} when the report came"
        record(connection, now, "delivery", delivery.id, "report ignored", note)
    elif failed:
        note = "not committed: " + ", ".join(f"{uid} ({reason:04X}H)" for uid, reason in sorted(failed.items()))
        wait_s = min(RESEND_FIRST_S * 2 ** (delivery.attempts - 1), RESEND_CAP_S)
        settle_unsent(connection, delivery, Change.RETRY, now, note, not_before=now + wait_s)
    elif committed == sent:
        note = "storage committed"
        change_state(connection, delivery, deliveries, Change.CONFIRM, now, note, message=_joined(delivery.message, note))
    else:
        note = f"{len(committed)} of {len(sent)} instances committed, nothing said of the others"
        record(connection, now, "delivery", delivery.id, "partly committed", note)
    return note


def _joined(message: str, note: str) -> str:
    return f"{message}; {note}" if message else note
