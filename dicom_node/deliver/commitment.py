"""Storage commitment: asking a destination to vouch for what it stored, and reading its report.

Every request carries a new Transaction UID; a report is matched by it, on whatever association it comes.

Source: DICOM PS3.4 Annex J (Storage Commitment Push Model), PS3.7 10.1.1 and 10.1.4.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.events import Event

from dicom_node.deliver.association import (
    STORAGE_COMMITMENT_INSTANCE,
    STORAGE_COMMITMENT_PUSH_MODEL,
    NoAssociationError,
    NothingAcceptedError,
    associate,
    native_contexts,
)
from dicom_node.model import Destination

NO_SUCH_OBJECT_INSTANCE = 0x0112
_REQUEST_STORAGE_COMMITMENT = 1  # Action Type ID
_SUCCESS = 0x0000


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """What an N-EVENT-REPORT says.

    Attributes:
        committed: SOP Instance UIDs that the destination vouches for.
        failed: Failure Reason by SOP Instance UID; 0112H means it does not have the instance: send it again.
    """

    transaction_uid: str
    committed: frozenset[str] = frozenset()
    failed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Requested:
    """The request was accepted; the report, if it came on the same association."""

    report: CommitmentReport | None


@dataclass(frozen=True, slots=True)
class NotOffered:
    """The destination offers no storage commitment."""

    reason: str


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """The request did not come through; the stored instances are asked for again later."""

    reason: str


RequestOutcome = Requested | NotOffered | RequestFailed


def new_transaction_uid() -> str:
    """A UID that was never used: answers to an older request must not settle a newer one."""
    return str(generate_uid(prefix=None))


def request(
    destination: Destination,
    local_ae_title: str,
    transaction_uid: str,
    instances: Sequence[tuple[str, str]],
    wait_s: float = 2.0,
) -> RequestOutcome:
    """N-ACTION, and a short wait for a report on the same association.

    Args:
        destination: what stored the instances.
        local_ae_title: to which the report is addressed.
        transaction_uid: new for every request.
        instances: (SOP Class UID, SOP Instance UID).
        wait_s: how long the association is kept open for the report; most PACS open one of their own instead.
    """
    came = threading.Event()
    reports: list[CommitmentReport] = []

    def on_report(event: Event) -> tuple[int, None]:
        reports.append(read_report(event.event_information))
        came.set()
        return _SUCCESS, None

    try:
        with associate(
            destination, local_ae_title, native_contexts(STORAGE_COMMITMENT_PUSH_MODEL), [(evt.EVT_N_EVENT_REPORT, on_report)]
        ) as association:
            response, _ = association.send_n_action(
                _information(transaction_uid, instances),
                _REQUEST_STORAGE_COMMITMENT,
                STORAGE_COMMITMENT_PUSH_MODEL,
                STORAGE_COMMITMENT_INSTANCE,
            )
            if "Status" not in response:
                return RequestFailed(f"{destination.name} did not answer the storage commitment request")
            if response.Status != _SUCCESS:
                return RequestFailed(f"{destination.name} refused the storage commitment request ({response.Status:04X}H)")
            came.wait(wait_s)
    except NothingAcceptedError as error:
        return NotOffered(str(error))
    except NoAssociationError as error:
        return RequestFailed(str(error))
    return Requested(next((r for r in reports if r.transaction_uid == transaction_uid), None))


def read_report(information: Dataset) -> CommitmentReport:
    """The report in an N-EVENT-REPORT's Event Information (PS3.4 Table J.3.3-1); incomplete items are left out."""
    failed = {
        str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason", NO_SUCH_OBJECT_INSTANCE))
        for item in information.get("FailedSOPSequence") or ()
        if "ReferencedSOPInstanceUID" in item
    }
    committed = frozenset(
        str(item.ReferencedSOPInstanceUID)
        for item in information.get("ReferencedSOPSequence") or ()
        if "ReferencedSOPInstanceUID" in item
    )
    return CommitmentReport(str(information.get("TransactionUID", "")), committed - failed.keys(), failed)


def _information(transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction_uid
    items = []
    for sop_class_uid, sop_instance_uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = sop_instance_uid
        items.append(item)
    information.ReferencedSOPSequence = items
    return information
