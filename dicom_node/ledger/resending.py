"""Sending again, unless a newer revision has made it pointless."""

from typing import Any

from sqlalchemy import Connection, Row

from dicom_node.ledger.revisions import has_newer_revision
from dicom_node.ledger.schema import deliveries, jobs
from dicom_node.ledger.transitions import change_state, fetch
from dicom_node.lifecycle import Change


def send_again(connection: Connection, row: Row[Any], not_before: float, message: str, now: float, **values: object) -> None:
    """Queue a running or awaiting delivery, or supersede it if its job has a newer revision."""
    superseded = has_newer_revision(connection, fetch(connection, jobs, row.job_id))
    change = Change.SUPERSEDE if superseded else Change.RETRY
    change_state(connection, row, deliveries, change, now, message, not_before=not_before, message=message, **values)
