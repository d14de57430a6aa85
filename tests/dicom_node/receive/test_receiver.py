"""The receiver over the network, with senders that behave and senders that do not."""

import contextlib
import random
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt

from dicom_node.errors import ConfigurationError, TransientError
from dicom_node.receive import CommitmentReport, Peer, Receiver, ReceiverSettings, Spool, Timeouts, Watermarks
from tests.dicom_node.receive.client import (
    CT,
    UID_ROOT,
    VERIFICATION,
    associated,
    commitment_information,
    rejection_of,
    report,
    request,
    store,
)
from tests.pacs_servers import wait_until

PRIVATE_CLASS = "1.2.840.113619.4.27"
DATASET = bytes(range(256)) * 2000  # no dataset at all: what is received is not looked into
StartReceiver = Callable[..., Receiver]


@pytest.fixture(params=[True, False], ids=["streaming", "whole"])
def streaming(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def files(spool: Spool) -> list[Path]:
    return sorted(path for path in spool.root.rglob("*") if path.is_file())


def contents(spool: Spool) -> list[bytes]:
    return [dataset_bytes(path) for path in files(spool)]


def dataset_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    assert content[128:132] == b"DICM"
    return content[144 + int.from_bytes(content[140:144], "little") :]


def echo(receiver: Receiver) -> int:
    with associated(receiver.address) as association:
        return int(association.send_c_echo().Status)


def test_what_is_acknowledged_is_stored_bit_for_bit_with_where_it_came_from(receiver: Receiver, spool: Spool) -> None:
    with associated(receiver.address, calling="PACS1") as association:
        assert store(association, DATASET).Status == 0x0000
        port = association.requestor.port
    (path,) = files(spool)
    assert dataset_bytes(path) == DATASET
    meta = read_file_meta_info(path)
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (CT, UID_ROOT + "1")
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (meta.SendingApplicationEntityTitle, meta.ReceivingApplicationEntityTitle) == ("PACS1", "NODE")
    assert meta.SourcePresentationAddress == f"dicom://127.0.0.1:{port}"
    assert meta.ReceivingPresentationAddress == f"dicom://127.0.0.1:{receiver.address[1]}"


def test_the_same_instance_twice_makes_two_files(receiver: Receiver, spool: Spool) -> None:
    with associated(receiver.address) as association:
        assert [store(association, data).Status for data in (b"one.", b"two.")] == [0, 0]
    assert sorted(contents(spool)) == [b"one.", b"two."]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"dataset": b""}, 0xC000),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.4"}, 0xA900),
        ({"sop_class_uid": None}, 0xA900),
        ({"sop_instance_uid": None}, 0x0117),
        ({"sop_instance_uid": "../../etc/passwd"}, 0x0117),
        ({"sop_instance_uid": "1.2.3 4"}, 0x0117),
    ],
)
def test_a_request_that_cannot_be_kept_is_told_so_and_the_next_one_is_kept(
    receiver: Receiver, spool: Spool, options: dict[str, Any], status: int
) -> None:
    with associated(receiver.address) as association:
        refused = store(association, **{"dataset": DATASET, **options})
        assert refused.Status == status
        assert refused.ErrorComment
        assert not files(spool)
        assert store(association, DATASET).Status == 0x0000


@pytest.mark.parametrize(
    ("settings", "options", "rejection"),
    [
        ({}, {"called": "OTHER"}, (1, 1, 7)),
        ({"peers": (Peer.of("PACS"),)}, {"calling": "OTHER"}, (1, 1, 3)),
        ({"peers": (Peer.of("PACS", "192.0.2.0/24"),)}, {"calling": "PACS"}, (1, 1, 3)),
    ],
)
def test_a_rejected_peer_hears_why_and_is_never_accepted_afterwards(
    start_receiver: StartReceiver, settings: dict[str, Any], options: dict[str, Any], rejection: tuple[int, int, int]
) -> None:
    receiver = start_receiver(**settings)
    for _ in range(3):
        association = request(receiver.address, **options)
        assert association.is_rejected
        assert not association.is_established
        assert rejection_of(association) == rejection
    assert receiver.association_count == 0


def test_a_known_peer_may_store_and_echo(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(peers=(Peer.of("PACS", "127.0.0.0/8"),))
    with associated(receiver.address, calling="PACS") as association:
        assert association.send_c_echo().Status == 0x0000
        assert store(association, DATASET).Status == 0x0000


def test_too_many_associations_are_rejected_for_the_moment_only(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(max_associations=2)
    with associated(receiver.address), associated(receiver.address):
        association = request(receiver.address)
        assert association.is_rejected
        assert rejection_of(association) == (2, 3, 2)
    wait_until(lambda: receiver.association_count == 0, "both associations to end")
    assert echo(receiver) == 0x0000


def test_unknown_sop_classes_are_stored_where_configured(start_receiver: StartReceiver, spool: Spool) -> None:
    contexts = [(PRIVATE_CLASS, (ImplicitVRLittleEndian,)), (CT, (ImplicitVRLittleEndian,))]
    with associated(start_receiver().address, contexts=contexts) as association:
        assert [str(c.abstract_syntax) for c in association.accepted_contexts] == [CT]
    with associated(start_receiver(accept_unknown_storage=True).address, contexts=contexts) as association:
        assert store(association, DATASET, sop_class_uid=PRIVATE_CLASS).Status == 0x0000
    assert contents(spool) == [DATASET]


def test_a_nearly_full_disk_is_told_to_the_sender_as_out_of_resources(start_receiver: StartReceiver, spool: Spool) -> None:
    marks = Watermarks(refuse_below_bytes=1 << 60, resume_above_bytes=1 << 61)
    with associated(start_receiver(watermarks=marks).address) as association:
        assert store(association, DATASET).Status == 0xA700
        assert association.send_c_echo().Status == 0x0000
    assert not files(spool)


@contextmanager
def file_size_limit(limit_bytes: int) -> Iterator[None]:
    """Writing beyond the limit fails (EFBIG), as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_midway_leaves_nothing_and_receiving_recovers(receiver: Receiver, spool: Spool) -> None:
    with associated(receiver.address) as association:
        with file_size_limit(100_000):
            assert store(association, DATASET).Status == 0xA700
            assert not files(spool)
        assert store(association, DATASET).Status == 0x0000
    assert contents(spool) == [DATASET]


def test_an_aborted_association_keeps_what_was_acknowledged_and_nothing_else(receiver: Receiver, spool: Spool) -> None:
    association = request(receiver.address)
    assert store(association, DATASET).Status == 0x0000
    association.abort()
    wait_until(lambda: receiver.association_count == 0, "the association to end")
    assert contents(spool) == [DATASET]
    assert echo(receiver) == 0x0000


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 64,
        b"\x01\x00\xff\xff\xff\xff" + b"x" * 100,
        b"\x04\x00\x00\x00\x00\x04abcd",
        b"\x01",
    ],
)
def test_garbage_harms_nobody(receiver: Receiver, garbage: bytes) -> None:
    with socket.create_connection(receiver.address) as stranger:
        stranger.sendall(garbage)
        assert echo(receiver) == 0x0000
    wait_until(lambda: not receiver._door.connected(), "all connections to be closed")
    assert echo(receiver) == 0x0000


def wire_bytes(receiver: Receiver) -> list[bytes]:
    """What a sound sender sends, PDU by PDU."""
    sent: list[bytes] = []
    association = request(receiver.address, handlers=[(evt.EVT_DATA_SENT, lambda event: sent.append(bytes(event.data)))])
    store(association, DATASET[:1000])
    association.release()
    return sent


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, about the values that the mutations make
def test_mutations_of_a_sound_association_harm_nobody(receiver: Receiver, spool: Spool) -> None:
    sound, chance = wire_bytes(receiver), random.Random(1)
    for turn in range(100):
        request_pdu, rest = (bytearray(part) for part in (sound[0], b"".join(sound[1:])))
        mutated = request_pdu if turn % 3 == 0 else rest
        for _ in range(chance.randrange(1, 6)):
            mutated[chance.randrange(min(len(mutated), 400))] = chance.randrange(256)
        with socket.create_connection(receiver.address, timeout=30) as sender, contextlib.suppress(OSError):
            sender.sendall(request_pdu)
            if turn % 3:
                assert sender.recv(65536)[0] == 2  # A-ASSOCIATE-AC
            sender.sendall(rest[: chance.randrange(len(rest))] if chance.random() < 0.3 else rest)
            sender.shutdown(socket.SHUT_WR)
            while sender.recv(4096):  # until the receiver closes
                pass
    wait_until(lambda: not receiver._door.connected(), "all connections to be closed")
    assert echo(receiver) == 0x0000
    assert not list(spool.incoming.iterdir())


def test_silent_connections_and_slow_senders_block_nobody_and_are_closed_in_time(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(timeouts=Timeouts(acse_s=1.0, network_s=1.0))
    silent = [socket.create_connection(receiver.address) for _ in range(20)]
    slow = request(receiver.address)
    connection = slow.dul.socket
    assert connection is not None
    assert connection.socket is not None
    connection.socket.sendall(b"\x04\x00\x00\x01\x00\x00")  # the head of a PDU whose rest never comes
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: echo(receiver), range(4))) == [0] * 4
    wait_until(lambda: not receiver._door.connected(), "the timeouts to close everything")
    for stranger in silent:
        stranger.close()
    slow.abort()


def test_many_connections_that_end_at_once_leave_no_threads(receiver: Receiver) -> None:
    before = threading.active_count()
    for _ in range(50):
        socket.create_connection(receiver.address).close()
    wait_until(lambda: not receiver._door.connected() and threading.active_count() <= before, "all threads to end")


def test_stopping_waits_for_associations_and_then_closes_them(start_receiver: StartReceiver, spool: Spool) -> None:
    receiver = start_receiver()
    association = request(receiver.address)
    assert store(association, DATASET).Status == 0x0000
    stopping = threading.Thread(target=receiver.stop, args=(30.0,))
    address = receiver.address
    stopping.start()
    wait_until(lambda: not receiver.is_listening, "listening to end")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    assert store(association, DATASET, UID_ROOT + "2").Status == 0x0000
    association.release()
    stopping.join(30)
    assert not stopping.is_alive()
    assert contents(spool) == [DATASET, DATASET]


def test_stopping_does_not_wait_for_ever(start_receiver: StartReceiver) -> None:
    receiver = start_receiver()
    association = request(receiver.address)
    receiver.stop(0.1)
    wait_until(lambda: association.is_aborted, "the peer to notice")


def test_a_port_that_is_taken_is_said_with_the_remedy(receiver: Receiver, start_receiver: StartReceiver) -> None:
    with pytest.raises(TransientError, match=str(receiver.address[1])):
        start_receiver(port=receiver.address[1])


@pytest.mark.parametrize("with_role", [True, False])
def test_a_storage_commitment_report_is_kept_before_it_is_answered(start_receiver: StartReceiver, with_role: bool) -> None:
    kept: list[CommitmentReport] = []
    receiver = start_receiver(on_commitment=kept.append)
    assert report(receiver.address, commitment_information(), with_role=with_role) == 0x0000
    assert kept == [CommitmentReport(UID_ROOT + "77", ((CT, UID_ROOT + "1"),), ())]


def test_a_report_that_cannot_be_kept_or_read_is_told_so(start_receiver: StartReceiver) -> None:
    def fail(_: CommitmentReport) -> None:
        raise TransientError("the ledger is locked")

    address = start_receiver(on_commitment=fail).address
    assert report(address, commitment_information()) == 0x0110
    assert report(address, commitment_information(), event_type=9) == 0x0113
    empty = Dataset()
    empty.RetrieveAETitle = "PACS"
    assert report(address, empty) == 0x0115
    assert report(start_receiver().address, commitment_information()) == 0x0118


def test_settings_that_make_no_sense_are_refused() -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"ae_title": " "},
        {"ae_title": "X" * 17},
        {"ae_title": "KÖLN"},
        {"ae_title": "A\\B"},
        {"max_associations": 0},
        {"maximum_pdu_bytes": 100},
    )
    for wrong in changes:
        with pytest.raises(ConfigurationError):
            ReceiverSettings(**{"ae_title": "NODE", **wrong})


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1", "localhost"])
def test_it_listens_where_it_is_told(start_receiver: StartReceiver, host: str) -> None:
    receiver = start_receiver(host=host)
    with associated(("127.0.0.1", receiver.address[1])) as association:
        assert association.send_c_echo().Status == 0x0000


def test_an_instance_of_no_storage_class_is_refused(receiver: Receiver, spool: Spool) -> None:
    with associated(receiver.address, contexts=[(VERIFICATION, (ExplicitVRLittleEndian,))]) as association:
        assert store(association, DATASET, sop_class_uid=VERIFICATION).Status == 0x0122
        assert association.send_c_echo().Status == 0x0000
    assert not files(spool)
