"""Storage commitment reports: what a PACS says in an N-EVENT-REPORT about the results that it was asked to vouch for.

Source: DICOM PS3.4 J.3.3 and Table J.3.3-1, PS3.7 10.1.1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from dicom_node.receive.statuses import Status

NO_SUCH_OBJECT_INSTANCE = 0x0112
_EVENT_TYPES = {1, 2}  # all committed; failures exist


class ReportRefused(Exception):
    """The report is answered with a failure."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"{status:04X}H")
        self.status = status


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """What was committed under a transaction, and what was not.

    Attributes:
        failed: Failure Reason by SOP Instance UID; 0112H means that the PACS does not have the instance.
    """

    transaction_uid: str
    committed: frozenset[str] = frozenset()
    failed: Mapping[str, int] = field(default_factory=dict)


OnCommitment = Callable[[CommitmentReport], None]
"""Keeps a report durably before it returns; raises if it cannot, and the PACS will report again."""


def read_report(event_type_id: int | None, information: Dataset) -> CommitmentReport:
    """The report in Event Information.

    Raises:
        ReportRefused: 0113H for an unknown event type, 0115H for one that says nothing usable.
    """
    if event_type_id not in _EVENT_TYPES:
        raise ReportRefused(Status.NO_SUCH_EVENT_TYPE)
    transaction_uid = str(information.get("TransactionUID", "") or "")
    failed = {
        uid: int(item.get("FailureReason") or NO_SUCH_OBJECT_INSTANCE) for uid, item in _items(information, "FailedSOPSequence")
    }
    committed = frozenset(uid for uid, _ in _items(information, "ReferencedSOPSequence")) - failed.keys()
    if not transaction_uid or not (committed or failed):
        raise ReportRefused(Status.INVALID_ARGUMENT_VALUE)
    return CommitmentReport(transaction_uid, committed, failed)


def _items(information: Dataset, keyword: str) -> list[tuple[str, Dataset]]:
    items = information.get(keyword) or ()
    if not isinstance(items, (list, tuple)) and not hasattr(items, "__iter__"):
        raise ReportRefused(Status.INVALID_ARGUMENT_VALUE)
    return [(str(item.ReferencedSOPInstanceUID), item) for item in items if "ReferencedSOPInstanceUID" in item]
