"""The delivering process is killed with SIGKILL: nothing is lost, nothing comes twice under another UID."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from dicom_node.model import Destination, Result, ResultKind
from tests.answering_scp import answering_scp
from tests.owing import owe
from tests.pacs_servers import Orthanc, orthanc, wait_until

ROOT = Path(__file__).parents[2]
SC = SecondaryCaptureImageStorage
COURIER = """
import sys, threading, time
from pathlib import Path
from dicom_node.deliver.courier import Courier
from dicom_node.ledger import Ledger
from dicom_node.model import Destination
path, ae_title, port = sys.argv[1:]
with Ledger.open(Path(path)) as ledger:
    ledger.deliveries.release_interrupted(time.time())
    pacs = Destination("pacs", ae_title, "127.0.0.1", int(port), network_timeout_s=10.0, retry_first_s=0.05, retry_cap_s=0.2)
    Courier(ledger, pacs, "DICOMNODE", time.time).run(threading.Event())
"""


def write_result(directory: Path, number: int) -> Result:
    instance = Dataset()
    instance.SOPClassUID, instance.SOPInstanceUID = SC, f"1.2.826.0.1.3680043.8.498.9.1.{number}"
    instance.StudyInstanceUID, instance.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.9", "1.2.826.0.1.3680043.8.498.9.1"
    instance.PatientID = instance.PatientName = "KILLED"
    instance.Modality, instance.InstanceNumber = "OT", number
    instance.Rows = instance.Columns = 256
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.BitsAllocated, instance.BitsStored, instance.HighBit, instance.PixelRepresentation = 8, 8, 7, 0
    instance.PixelData = bytes([number]) * 65536
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = directory / f"{number}.dcm"
    instance.save_as(path, enforce_file_format=True)
    return Result(instance.SOPInstanceUID, SC, instance.SeriesInstanceUID, ResultKind.SC, 0, path)


def owe_all(ledger: Ledger, directory: Path, count: int, pacs: Destination) -> list[str]:
    """Finished jobs, each with one result; their SOP Instance UIDs."""
    results = [write_result(directory, number) for number in range(count)]
    for number, result in enumerate(results):
        owe(ledger, directory, [result], pacs, number=number)
    return sorted(result.sop_instance_uid for result in results)


@contextmanager
def courier(ledger: Path, pacs: Destination) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that delivers until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", COURIER, str(ledger), pacs.ae_title, str(pacs.port)], cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def holds(server: Orthanc, count: int) -> bool:
    return len(server.rest.find()) >= count


def is_delivered(ledger: Ledger) -> bool:
    return all(delivery.state is State.DONE for delivery in ledger.deliveries.find())


@pytest.mark.orthanc
def test_a_courier_killed_at_random_moments_leaves_each_result_once_at_orthanc(tmp_path: Path) -> None:
    chance = random.Random(7)
    pause = threading.Event()
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger, orthanc(tmp_path / "orthanc") as server:
        pacs = Destination("pacs", server.ae_title, server.host, server.port)
        uids = owe_all(ledger, tmp_path, 12, pacs)
        for kill in range(1, 7):
            with courier(tmp_path / "ledger.sqlite", pacs) as process:
                # Each life delivers a little more, and ends somewhere within an instance.
                wait_until(partial(holds, server, kill), f"{kill} instances at Orthanc")
                pause.wait(chance.uniform(0.0, 0.03))
                process.send_signal(signal.SIGKILL)
        with courier(tmp_path / "ledger.sqlite", pacs):
            wait_until(lambda: is_delivered(ledger), "everything delivered", 60.0)
        assert server.rest.sop_instance_uids() == uids


def test_a_kill_between_the_stored_instance_and_the_ledger_sends_the_same_bytes_again(tmp_path: Path) -> None:
    arrived, answer = threading.Event(), threading.Event()

    def late(_: str) -> int:
        arrived.set()
        answer.wait(30)
        return 0x0000

    with Ledger.open(tmp_path / "ledger.sqlite") as ledger, answering_scp(late, sop_class_uids=[SC]) as scp:
        (uid,) = owe_all(ledger, tmp_path, 1, scp.destination("pacs"))
        with courier(tmp_path / "ledger.sqlite", scp.destination("pacs")) as process:
            assert arrived.wait(30)
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            answer.set()
            scp.wait_for(1)
        with courier(tmp_path / "ledger.sqlite", scp.destination("pacs")):
            wait_until(lambda: is_delivered(ledger), "delivered")
        assert scp.received == [uid, uid]
        assert scp.datasets[0] == scp.datasets[1]
