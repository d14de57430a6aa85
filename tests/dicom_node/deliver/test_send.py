import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicom_node.deliver.outcome import NotAccepted, Permanent, Stored, StoredWithWarning, Transient
from dicom_node.deliver.send import Parcel, send, send_all
from dicom_node.model import Destination
from tests.answering_scp import answering_scp
from tests.pacs_servers import dcmqrscp, free_port, orthanc, storescp

NODE = "DICOMNODE"
SC = SecondaryCaptureImageStorage
MakeParcel = Callable[..., Parcel]


def destination(port: int, ae_title: str = "PACS", timeout_s: float = 5.0) -> Destination:
    return Destination("pacs", ae_title, "127.0.0.1", port, network_timeout_s=timeout_s)


def test_a_stored_instance_arrives_byte_for_byte(make_parcel: MakeParcel) -> None:
    parcel = make_parcel()
    with answering_scp(sop_class_uids=[SC]) as scp:
        outcome = send(parcel.path, parcel.sop_class_uid, parcel.sop_instance_uid, scp.destination(), NODE)
        assert outcome == Stored(0x0000)
        assert scp.transfer_syntaxes == [ExplicitVRLittleEndian]
        sent = parcel.path.read_bytes()
        data = dcmread(parcel.path, stop_before_pixels=True)
        assert scp.datasets[0].endswith(sent[sent.index(data.SpecificCharacterSet.encode()) :])


def test_a_destination_that_takes_implicit_vr_only_gets_the_same_elements(make_parcel: MakeParcel) -> None:
    parcel = make_parcel()
    with answering_scp(sop_class_uids=[SC], transfer_syntaxes=[ImplicitVRLittleEndian]) as scp:
        assert send(parcel.path, SC, parcel.sop_instance_uid, scp.destination(), NODE) == Stored(0x0000)
        assert scp.transfer_syntaxes == [ImplicitVRLittleEndian]
        assert scp.read() == dcmread(parcel.path)


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_counts_as_stored_and_is_kept(make_parcel: MakeParcel, status: int) -> None:
    said = Dataset()
    said.Status, said.ErrorComment = status, "coerced"
    parcel = make_parcel()
    with answering_scp(lambda _: said, sop_class_uids=[SC]) as scp:
        outcome = send(parcel.path, SC, parcel.sop_instance_uid, scp.destination(), NODE)
    assert isinstance(outcome, StoredWithWarning)
    assert outcome.status == status
    assert "coerced" in outcome.warning


@pytest.mark.parametrize(
    ("status", "kind"),
    [(0xA700, Transient), (0x0110, Transient), (0xA900, Permanent), (0xC123, Permanent), (0x0122, NotAccepted)],
)
def test_a_status_decides_what_becomes_of_the_delivery(make_parcel: MakeParcel, status: int, kind: type) -> None:
    parcel = make_parcel()
    with answering_scp(lambda _: status, sop_class_uids=[SC]) as scp:
        assert isinstance(send(parcel.path, SC, parcel.sop_instance_uid, scp.destination(), NODE), kind)


def test_a_sop_class_that_no_context_is_accepted_for_is_not_accepted(make_parcel: MakeParcel) -> None:
    parcels = [make_parcel(1, SegmentationStorage), make_parcel(2), make_parcel(3, ComprehensiveSRStorage)]
    with answering_scp(sop_class_uids=[SC]) as scp:
        first, second, third = send_all(parcels, scp.destination(), NODE)
        assert scp.associations == 1
    assert isinstance(first, NotAccepted)
    assert second == Stored(0)
    assert isinstance(third, NotAccepted)


def test_a_destination_that_accepts_none_of_the_contexts_is_asked_for_the_next_fallback(make_parcel: MakeParcel) -> None:
    parcel = make_parcel(1, SegmentationStorage)
    with answering_scp(sop_class_uids=[SC]) as scp:
        assert isinstance(
            send(parcel.path, parcel.sop_class_uid, parcel.sop_instance_uid, scp.destination(), NODE), NotAccepted
        )


def test_a_refused_connection_is_transient_and_leaves_no_socket_open(make_parcel: MakeParcel) -> None:
    parcel = make_parcel()
    outcomes = list(send_all([parcel, parcel], destination(free_port()), NODE))
    assert [type(o) for o in outcomes] == [Transient, Transient]


def test_an_unknown_host_is_transient(make_parcel: MakeParcel) -> None:
    parcel = make_parcel()
    outcome = send(parcel.path, SC, parcel.sop_instance_uid, Destination("pacs", "PACS", "no-such-host.invalid", 104), NODE)
    assert isinstance(outcome, Transient)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # pynetdicom's, when a rejection is quick
def test_a_rejected_calling_ae_title_is_tried_again_with_an_alarm(make_parcel: MakeParcel) -> None:
    parcel = make_parcel()
    with answering_scp(sop_class_uids=[SC], required_calling=["SOMEONE"]) as scp:
        outcome = send(parcel.path, SC, parcel.sop_instance_uid, scp.destination(), NODE)
    assert isinstance(outcome, Transient)
    assert outcome.alarm
    assert "AE title" in outcome.reason


def test_a_peer_that_never_answers_the_association_is_given_up_in_time(make_parcel: MakeParcel) -> None:
    parcel = make_parcel()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = send(parcel.path, SC, parcel.sop_instance_uid, destination(silent.getsockname()[1], timeout_s=0.3), NODE)
    assert isinstance(outcome, Transient)


def test_a_peer_that_never_answers_c_store_is_given_up_in_time(make_parcel: MakeParcel) -> None:
    parcel, release = make_parcel(), threading.Event()

    def never(_: str) -> int:
        release.wait(30)
        return 0

    with answering_scp(never, sop_class_uids=[SC]) as scp:
        outcome = send(parcel.path, SC, parcel.sop_instance_uid, scp.destination(network_timeout_s=0.5), NODE)
        release.set()
    assert isinstance(outcome, Transient)


def test_a_missing_file_is_permanent_and_holds_up_no_other(make_parcel: MakeParcel) -> None:
    gone, there = make_parcel(1), make_parcel(2)
    gone.path.unlink()
    with answering_scp(sop_class_uids=[SC]) as scp:
        outcomes = list(send_all([gone, there, gone, there], scp.destination(), NODE))
    assert [type(o) for o in outcomes] == [Permanent, Stored, Permanent, Stored]


@pytest.mark.dcmtk
def test_storescp_stores_what_was_sent(make_parcel: MakeParcel, tmp_path: Path) -> None:
    parcels = [make_parcel(n) for n in range(1, 6)]
    with storescp(tmp_path / "scp", "+B") as scp:
        assert list(send_all(parcels, destination(scp.port, scp.ae_title), NODE)) == [Stored(0)] * 5
        assert scp.sop_instance_uids() == sorted(p.sop_instance_uid for p in parcels)
        assert dcmread(scp.files()[0]) == dcmread(parcels[0].path)


@pytest.mark.dcmtk
def test_storescp_that_takes_implicit_vr_only_stores_the_same_elements(make_parcel: MakeParcel, tmp_path: Path) -> None:
    parcel = make_parcel()
    with storescp(tmp_path / "scp", "+xi", "+B") as scp:
        assert send(parcel.path, SC, parcel.sop_instance_uid, destination(scp.port, scp.ae_title), NODE) == Stored(0)
        stored = dcmread(scp.files()[0])
    assert stored.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert stored == dcmread(parcel.path)


@pytest.mark.dcmtk
@pytest.mark.parametrize("option", ["--abort-after", "--abort-during", "--refuse"])
def test_an_abort_or_a_refusal_by_storescp_is_transient_for_each(make_parcel: MakeParcel, tmp_path: Path, option: str) -> None:
    parcels = [make_parcel(n, columns=512, rows=512) for n in (1, 2)]
    with storescp(tmp_path / "scp", option) as scp:
        outcomes = list(send_all(parcels, destination(scp.port, scp.ae_title), NODE))
    assert [type(o) for o in outcomes] == [Transient, Transient]


@pytest.mark.dcmtk
def test_dcmqrscp_keeps_one_object_of_an_instance_sent_twice(make_parcel: MakeParcel, tmp_path: Path) -> None:
    parcel = make_parcel()
    with dcmqrscp(tmp_path / "archive") as scp:
        for _ in range(2):
            assert send(parcel.path, SC, parcel.sop_instance_uid, destination(scp.port, scp.ae_title), NODE) == Stored(0)
        assert scp.sop_instance_uids() == [parcel.sop_instance_uid]


@pytest.mark.orthanc
def test_orthanc_keeps_one_object_of_an_instance_sent_twice(make_parcel: MakeParcel, tmp_path: Path) -> None:
    parcel = make_parcel()
    with orthanc(tmp_path / "orthanc") as pacs:
        for _ in range(2):
            assert send(parcel.path, SC, parcel.sop_instance_uid, destination(pacs.port, pacs.ae_title), NODE) == Stored(0)
        (stored,) = pacs.rest.datasets()
    assert stored == dcmread(parcel.path)


@pytest.mark.dcmtk
def test_a_peer_that_stops_reading_in_the_middle_is_given_up_in_time(make_parcel: MakeParcel, tmp_path: Path) -> None:
    parcel = make_parcel(columns=4096, rows=4096)  # 32 MiB, more than the buffers between take
    with storescp(tmp_path / "scp", "--sleep-during", "120") as scp:
        began = time.monotonic()
        outcome = send(parcel.path, SC, parcel.sop_instance_uid, destination(scp.port, scp.ae_title, timeout_s=1.0), NODE)
        assert time.monotonic() - began < 60.0
    assert isinstance(outcome, Transient)
