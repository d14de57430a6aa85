import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicom_node.deliver.association import VERIFICATION, NoAssociationError, associate, native_contexts
from dicom_node.deliver.find import accepted_contexts, count_instances, echo, read_back
from dicom_node.deliver.outcome import Stored
from dicom_node.deliver.send import Parcel, send_all
from dicom_node.demo.pacs import EmbeddedPacs
from dicom_node.model import Destination
from tests.answering_scp import answering_scp
from tests.pacs_servers import dcmqrscp, free_port, orthanc

NODE = "DICOMNODE"
STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.1.1"
MakeParcel = Callable[..., Parcel]


def pacs_at(port: int, ae_title: str) -> Destination:
    return Destination("pacs", ae_title, "127.0.0.1", port, network_timeout_s=5.0)


def ask_about_three(make_parcel: MakeParcel, pacs: Destination) -> None:
    """Whatever the PACS is, it answers these the same."""
    assert count_instances(pacs, NODE, STUDY, SERIES) == 0
    parcels = [make_parcel(n) for n in (1, 2, 3)]
    assert list(send_all(parcels, pacs, NODE)) == [Stored(0)] * 3
    assert count_instances(pacs, NODE, STUDY, SERIES) == 3
    assert read_back(pacs, NODE, STUDY, SERIES, parcels[1].sop_instance_uid) is True
    assert read_back(pacs, NODE, STUDY, SERIES, f"{SERIES}.999") is False
    assert echo(pacs, NODE).reachable


def test_the_embedded_pacs_answers_what_is_asked(make_parcel: MakeParcel, tmp_path: Path) -> None:
    with EmbeddedPacs(tmp_path / "pacs") as pacs:
        ask_about_three(make_parcel, pacs_at(pacs.port, pacs.ae_title))


@pytest.mark.orthanc
def test_orthanc_answers_what_is_asked(make_parcel: MakeParcel, tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc") as pacs:
        ask_about_three(make_parcel, pacs_at(pacs.port, pacs.ae_title))


@pytest.mark.dcmtk
def test_dcmqrscp_which_counts_nothing_is_counted_instance_by_instance(make_parcel: MakeParcel, tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "archive") as pacs:
        ask_about_three(make_parcel, pacs_at(pacs.port, pacs.ae_title))


def test_a_pacs_that_cannot_be_asked_gives_no_count_rather_than_none_missing() -> None:
    away = pacs_at(free_port(), "AWAY")
    assert count_instances(away, NODE, STUDY, SERIES) is None
    assert read_back(away, NODE, STUDY, SERIES, f"{SERIES}.1") is None
    with answering_scp(sop_class_uids=[SecondaryCaptureImageStorage]) as no_query:
        assert count_instances(no_query.destination(), NODE, STUDY, SERIES) is None
        assert read_back(no_query.destination(), NODE, STUDY, SERIES, f"{SERIES}.1") is None


def test_an_echo_says_why_a_destination_is_not_reachable() -> None:
    assert "does not answer" in echo(pacs_at(free_port(), "AWAY"), NODE).reason
    with answering_scp(sop_class_uids=[], required_calling=["SOMEONE"]) as scp:
        outcome = echo(scp.destination(), NODE)
        assert not outcome.reachable
        assert "AE title" in outcome.reason
        assert echo(scp.destination(), "SOMEONE").reachable


def test_an_echo_to_something_that_is_no_dicom_node_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = echo(replace(pacs_at(silent.getsockname()[1], "X"), network_timeout_s=0.3), NODE)
    assert not outcome.reachable


def test_what_a_destination_accepts_is_told_by_sop_class_and_transfer_syntax() -> None:
    classes = [SecondaryCaptureImageStorage, SegmentationStorage]
    with answering_scp(sop_class_uids=classes[:1], transfer_syntaxes=[ImplicitVRLittleEndian, JPEGLSLossless]) as scp:
        accepted = accepted_contexts(
            scp.destination(), NODE, classes, [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless]
        )
        assert accepted == {classes[0]: (ImplicitVRLittleEndian, JPEGLSLossless), classes[1]: ()}
        assert accepted_contexts(scp.destination(), NODE, classes[1:]) == {classes[1]: ()}


def test_more_sop_classes_than_fit_on_one_association_are_all_asked_for() -> None:
    classes = [f"1.2.826.0.1.3680043.8.498.77.{n}" for n in range(1, 151)]
    with answering_scp(sop_class_uids=classes[100:]) as scp:
        accepted = accepted_contexts(scp.destination(), NODE, classes)
    assert [uid for uid, syntaxes in accepted.items() if len(syntaxes) == 2] == classes[100:]
    assert not any(accepted[uid] for uid in classes[:100])


def echo_after_the_end(pacs: Destination) -> None:
    with associate(pacs, NODE, native_contexts(VERIFICATION)) as association:
        association.abort()
        association.send_c_echo()


def test_an_association_that_has_ended_is_told_as_such(tmp_path: Path) -> None:
    with EmbeddedPacs(tmp_path / "pacs") as pacs, pytest.raises(NoAssociationError, match="ended the association"):
        echo_after_the_end(pacs_at(pacs.port, pacs.ae_title))
