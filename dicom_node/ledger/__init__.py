"""The ledger: one embedded SQLite file, an index of the spool and the one place of durable state."""

from dicom_node.ledger.dispatch import Destinations
from dicom_node.ledger.instances import AddReport, Conflict, Quarantined
from dicom_node.ledger.ledger import Ledger
from dicom_node.ledger.retention import Purgeable
from dicom_node.ledger.revisions import JobRequest
from dicom_node.ledger.views import Status, Why, WhyJob, WhySeries

__all__ = [
    "AddReport",
    "Conflict",
    "Destinations",
    "JobRequest",
    "Ledger",
    "Purgeable",
    "Quarantined",
    "Status",
    "Why",
    "WhyJob",
    "WhySeries",
]
