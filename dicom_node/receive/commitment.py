"""Storage commitment reports: what a PACS says in an N-EVENT-REPORT about the results that it was asked to vouch for.

Source: DICOM PS3.4 J.3.3 and Table J.3.3-1, PS3.7 10.1.1.
"""

from collections.abc import Callable
from dataclasses import dataclass

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
        committed: (SOP Class UID, SOP Instance UID).
        failed: (SOP Class UID, SOP Instance UID, Failure Reason); 0112H means that the PACS does not have the instance.
    """

    transaction_uid: str
    committed: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str, int], ...] = ()


OnCommitment = Callable[[CommitmentReport], None]
"""Keeps a report durably before it returns; raises if it cannot, and the PACS will report again."""


def read_report(event_type_id: int | None, information: Dataset) -> CommitmentReport:
    """The report in Event Information.

    Raises:
        ReportRefused: 0113H for an unknown event type, 0115H for one that says nothing usable.
    """
    if event_type_id not in _EVENT_TYPES:
        raise ReportRefused(Status.NO_SUCH_EVENT_TYPE)
    transaction_uid = _uid(information, "TransactionUID")
    failed = tuple(
        (_uid(item, "ReferencedSOPClassUID"), uid, int(item.get("FailureReason") or NO_SUCH_OBJECT_INSTANCE))
        for uid, item in _items(information, "FailedSOPSequence")
    )
    not_kept = {uid for _, uid, _ in failed}
    committed = tuple(
        (_uid(item, "ReferencedSOPClassUID"), uid)
        for uid, item in _items(information, "ReferencedSOPSequence")
        if uid not in not_kept
    )
    if not transaction_uid or not (committed or failed):
        raise ReportRefused(Status.INVALID_ARGUMENT_VALUE)
    return CommitmentReport(transaction_uid, committed, failed)


def _items(information: Dataset, keyword: str) -> list[tuple[str, Dataset]]:
    """The items that name an instance, with its UID."""
    items = information.get(keyword) or ()
    return [(uid, item) for item in items if (uid := _uid(item, "ReferencedSOPInstanceUID"))]


def _uid(item: Dataset, keyword: str) -> str:
    return str(item.get(keyword) or "")
