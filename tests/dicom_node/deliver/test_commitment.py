import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dicom_node.deliver.commitment import (
    CommitmentReport,
    NotOffered,
    Requested,
    RequestFailed,
    new_transaction_uid,
    read_report,
    request,
)
from dicom_node.deliver.outcome import Stored
from dicom_node.deliver.send import Parcel, send_all
from dicom_node.demo.pacs import EmbeddedPacs
from dicom_node.model import Destination
from tests.answering_scp import STORAGE_COMMITMENT, answering_scp
from tests.pacs_servers import Modality, free_port, orthanc

NODE = "DICOMNODE"
SC = SecondaryCaptureImageStorage
MISSING = "1.2.826.0.1.3680043.8.498.1.1.999"
MakeParcel = Callable[..., Parcel]


def pacs_at(port: int, ae_title: str) -> Destination:
    return Destination("pacs", ae_title, "127.0.0.1", port, network_timeout_s=10.0)


@contextmanager
def listener(port: int) -> Iterator["queue.Queue[CommitmentReport]"]:
    """Takes reports on associations that a PACS opens in the role of SCP, as the node's receiving process does."""
    reports: queue.Queue[CommitmentReport] = queue.Queue()

    def on_report(event: Event) -> tuple[int, None]:
        reports.put(read_report(event.event_information))
        return 0x0000, None

    ae = AE(ae_title=NODE)
    ae.add_supported_context(STORAGE_COMMITMENT, scu_role=True, scp_role=True)
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_report)])
    assert server is not None
    try:
        yield reports
    finally:
        server.ae.shutdown()


def store_two_and_ask_for_three(make_parcel: MakeParcel, pacs: Destination, wait_s: float) -> tuple[str, object, set[str]]:
    parcels = [make_parcel(1), make_parcel(2)]
    assert list(send_all(parcels, pacs, NODE)) == [Stored(0)] * 2
    transaction_uid = new_transaction_uid()
    instances = [*((p.sop_class_uid, p.sop_instance_uid) for p in parcels), (SC, MISSING)]
    return transaction_uid, request(pacs, NODE, transaction_uid, instances, wait_s), {p.sop_instance_uid for p in parcels}


def test_a_report_on_the_same_association_is_the_answer(make_parcel: MakeParcel, tmp_path: Path) -> None:
    with EmbeddedPacs(tmp_path / "pacs") as pacs:
        transaction_uid, outcome, held = store_two_and_ask_for_three(make_parcel, pacs_at(pacs.port, pacs.ae_title), 10.0)
    assert outcome == Requested(CommitmentReport(transaction_uid, frozenset(held), {MISSING: 0x0112}))


def test_a_report_on_a_new_association_comes_to_the_listener(make_parcel: MakeParcel, tmp_path: Path) -> None:
    port = free_port()
    with listener(port) as reports, EmbeddedPacs(tmp_path / "pacs", reports_to=pacs_at(port, NODE)) as pacs:
        transaction_uid, outcome, held = store_two_and_ask_for_three(make_parcel, pacs_at(pacs.port, pacs.ae_title), 0.0)
        assert outcome == Requested(None)
        assert reports.get(timeout=20) == CommitmentReport(transaction_uid, frozenset(held), {MISSING: 0x0112})


@pytest.mark.orthanc
def test_orthanc_reports_on_a_new_association(make_parcel: MakeParcel, tmp_path: Path) -> None:
    port = free_port()
    with listener(port) as reports, orthanc(tmp_path / "orthanc", modalities=[Modality("node", NODE, port)]) as pacs:
        transaction_uid, outcome, held = store_two_and_ask_for_three(make_parcel, pacs_at(pacs.port, pacs.ae_title), 0.0)
        assert outcome == Requested(None)
        assert reports.get(timeout=30) == CommitmentReport(transaction_uid, frozenset(held), {MISSING: 0x0112})


def test_a_destination_without_storage_commitment_says_so() -> None:
    with answering_scp(sop_class_uids=[SC]) as scp:
        assert isinstance(request(scp.destination(), NODE, new_transaction_uid(), [(SC, MISSING)]), NotOffered)


def test_a_refused_request_and_a_destination_that_is_away_are_asked_again_later() -> None:
    with answering_scp(sop_class_uids=[SC], commitment=lambda: 0x0110) as scp:
        assert isinstance(request(scp.destination(), NODE, new_transaction_uid(), [(SC, MISSING)]), RequestFailed)
    away = pacs_at(free_port(), "AWAY")
    assert isinstance(request(away, NODE, new_transaction_uid(), [(SC, MISSING)]), RequestFailed)


def test_transaction_uids_are_never_used_twice() -> None:
    assert len({new_transaction_uid() for _ in range(100)}) == 100


def test_an_empty_or_incomplete_report_is_read_without_failure() -> None:
    assert read_report(Dataset()) == CommitmentReport("")
    broken = Dataset()
    broken.TransactionUID = "1.2.3"
    broken.ReferencedSOPSequence = [Dataset()]
    broken.FailedSOPSequence = [Dataset()]
    assert read_report(broken) == CommitmentReport("1.2.3")


def test_an_instance_both_committed_and_failed_counts_as_failed() -> None:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SC, MISSING
    both = Dataset()
    both.TransactionUID = "1.2.3"
    both.ReferencedSOPSequence = [item]
    both.FailedSOPSequence = [item]
    assert read_report(both) == CommitmentReport("1.2.3", frozenset(), {MISSING: 0x0112})
