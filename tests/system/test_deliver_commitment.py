"""Storage commitment by Orthanc: asked for by the courier, reported to the receiver, settled in the ledger."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node.deliver.courier import Courier
from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from dicom_node.model import Destination, Result, ResultKind
from dicom_node.receive.commitment import CommitmentReport
from dicom_node.receive.part10 import StoreRequest
from dicom_node.receive.receiver import Receiver
from dicom_node.receive.settings import ReceiverSettings
from dicom_node.receive.statuses import Status, StoreRefused
from dicom_node.receive.storing import Arrival
from tests.owing import owe
from tests.pacs_servers import Modality, free_port, orthanc, wait_until

NODE = "DICOMNODE"


class TakesNothing:
    """Nobody sends instances in these tests."""

    def begin(self, request: StoreRequest) -> Arrival:
        raise StoreRefused(Status.OUT_OF_RESOURCES, "no instances here")


def write_result(directory: Path) -> Result:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.826.0.1.3680043.8.498.6.1.1"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.6", "1.2.826.0.1.3680043.8.498.6.1"
    made.PatientID = made.PatientName = "COMMIT"
    made.Modality, made.Rows, made.Columns = "OT", 8, 8
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = bytes(64)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = directory / "result.dcm"
    made.save_as(path, enforce_file_format=True)
    return Result(made.SOPInstanceUID, made.SOPClassUID, made.SeriesInstanceUID, ResultKind.SC, 0, path)


@contextmanager
def receiving(port: int, ledger: Ledger) -> Iterator[None]:
    def keep(report: CommitmentReport) -> None:
        ledger.commitments.report(report.transaction_uid, report.committed, report.failed, now=time.time())

    receiver = Receiver(ReceiverSettings(NODE, host="127.0.0.1", port=port), TakesNothing(), keep).start()
    try:
        yield
    finally:
        receiver.stop()


@pytest.mark.orthanc
def test_orthanc_commits_what_it_stored_and_what_it_lost_is_sent_again(tmp_path: Path) -> None:
    port, stop = free_port(), threading.Event()
    with (
        Ledger.open(tmp_path / "ledger.sqlite") as ledger,
        receiving(port, ledger),
        orthanc(tmp_path / "orthanc", modalities=[Modality("node", NODE, port)]) as server,
    ):
        pacs = Destination("pacs", server.ae_title, server.host, server.port, storage_commitment=True, commitment_wait_s=60.0)
        owe(ledger, tmp_path, [write_result(tmp_path)], pacs)
        courier = Courier(ledger, pacs, NODE, time.time, report_wait_s=0.0)
        thread = threading.Thread(target=courier.run, args=(stop,))
        thread.start()
        try:
            wait_until(lambda: ledger.deliveries.find()[0].state is State.DONE, "committed", 60.0)
            first = ledger.deliveries.find()[0]
            assert "committed" in first.message
            server.rest.delete(server.rest.find()[0])
            ledger.deliveries.requeue(first.delivery_id, now=time.time())
            courier.wake()
            wait_until(lambda: ledger.deliveries.find()[0].transaction_uid != first.transaction_uid, "asked again", 60.0)
            wait_until(lambda: ledger.deliveries.find()[0].state is State.DONE, "committed again", 60.0)
            assert len(server.rest.find()) == 1
        finally:
            stop.set()
            courier.wake()
            thread.join(30)
