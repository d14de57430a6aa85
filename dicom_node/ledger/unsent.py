"""What a destination did not take: again, or a dead letter, or neither if a newer revision has made it pointless."""

from typing import Any

from sqlalchemy import Connection, Row

from dicom_node.ledger.revisions import has_newer_revision
from dicom_node.ledger.schema import deliveries, jobs
from dicom_node.ledger.transitions import change_state, fetch
from dicom_node.lifecycle import Change


def settle_unsent(connection: Connection, row: Row[Any], change: Change, now: float, message: str, **values: object) -> None:
    """Apply the change to a running or awaiting delivery, or supersede it if its job has a newer revision."""
    if has_newer_revision(connection, fetch(connection, jobs, row.job_id)):
        change = Change.SUPERSEDE
    change_state(connection, row, deliveries, change, now, message, message=message, **values)
