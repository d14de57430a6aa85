"""Receiving from a real PACS: what it stores here, and what it reports of storage commitment."""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from dicom_node.receive import (
    Backpressure,
    CommitmentReport,
    DiskGuard,
    Receiver,
    ReceiverSettings,
    Spool,
    SpoolStore,
    Watermarks,
)
from tests.dicom_node.receive.client import associated
from tests.pacs_servers import Modality, Orthanc, orthanc, wait_until

pytestmark = pytest.mark.orthanc

COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
ABSENT = "1.2.826.0.1.3680043.10.1999.404"
NO_WATERMARKS = Watermarks(0, 0.0, 0, 0.0)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def reports() -> queue.Queue[CommitmentReport]:
    return queue.Queue()


@pytest.fixture
def receiver(spool: Spool, reports: queue.Queue[CommitmentReport]) -> Iterator[Receiver]:
    settings = ReceiverSettings("NODE", host="127.0.0.1", port=0, watermarks=NO_WATERMARKS)
    store = SpoolStore(spool, Backpressure(DiskGuard(spool.root, NO_WATERMARKS), 1000), lambda stored: None)
    running = Receiver(settings, store, reports.put).start()
    yield running
    running.stop()


@pytest.fixture
def pacs(receiver: Receiver, tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc(tmp_path / "orthanc", modalities=[Modality("node", "NODE", receiver.address[1])]) as running:
        yield running


@pytest.fixture
def slices(chest_ct: Path) -> list[Path]:
    return sorted(chest_ct.rglob("*.dcm"))[:5]


def upload(pacs: Orthanc, slices: list[Path]) -> list[str]:
    """SOP Instance UIDs of what the PACS holds now."""
    for path in slices:
        pacs.rest.call("/instances", path.read_bytes(), "POST")
    return sorted(str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in slices)


def test_orthanc_stores_here_what_it_holds(pacs: Orthanc, spool: Spool, slices: list[Path]) -> None:
    uids = upload(pacs, slices)
    (study,) = pacs.rest.get("/studies")
    pacs.rest.call("/modalities/node/store", study.encode(), "POST")
    received = [dcmread(path) for path in spool.instances.rglob("*.dcm")]
    assert sorted(str(dataset.SOPInstanceUID) for dataset in received) == uids
    assert {str(dataset.file_meta.SendingApplicationEntityTitle) for dataset in received} == {pacs.ae_title}
    sent = {str(dcmread(path).SOPInstanceUID): dcmread(path).PixelData for path in slices}
    assert all(dataset.PixelData == sent[str(dataset.SOPInstanceUID)] for dataset in received)


def test_orthanc_reports_storage_commitment_on_an_association_of_its_own(
    pacs: Orthanc, reports: "queue.Queue[CommitmentReport]", slices: list[Path]
) -> None:
    uids = upload(pacs, slices)
    sop_class_uid = str(dcmread(slices[0], stop_before_pixels=True).SOPClassUID)
    information = Dataset()
    information.TransactionUID = "1.2.826.0.1.3680043.10.1999.77"
    information.ReferencedSOPSequence = [referenced(sop_class_uid, uid) for uid in (*uids, ABSENT)]
    with associated(
        ("127.0.0.1", pacs.port), called=pacs.ae_title, calling="NODE", contexts=[(COMMITMENT, (ImplicitVRLittleEndian,))]
    ) as asking:
        status, _ = asking.send_n_action(information, 1, COMMITMENT, COMMITMENT_INSTANCE)
        assert status.Status == 0x0000
    wait_until(lambda: not reports.empty(), "the report")
    report = reports.get()
    assert report.transaction_uid == information.TransactionUID
    assert sorted(uid for _, uid in report.committed) == uids
    assert [(uid, reason) for _, uid, reason in report.failed] == [(ABSENT, 0x0112)]


def referenced(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item
