"""The same instance, packed in every way that senders have: each arrives bit for bit, and makes the same file."""

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from pydicom.filereader import read_file_meta_info

from dicom_node.receive import Receiver, Spool
from tests.chaos.wire import (
    COMMAND,
    CT,
    EXPLICIT_LITTLE,
    LAST,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    VERIFICATION,
    Connection,
    Gone,
    c_echo_rq,
    c_store_rq,
    command,
    message,
    p_data,
    pdu,
    us,
)
from tests.pacs_servers import wait_until

CONTEXTS = ((CT, (EXPLICIT_LITTLE,)), (VERIFICATION, (EXPLICIT_LITTLE,)))
DATASET = bytes(range(256)) * 1200  # 300 kB, more than one read
SMALL = bytes(range(256))
INSTANCE = "1.2.826.0.1.3680043.10.1999.5"
ADDRESSES = {"SourcePresentationAddress", "SendingPresentationAddress", "ReceivingPresentationAddress"}
PDV = tuple[int, bytes]
Packing = Callable[[bytes, bytes], Iterator[bytes]]
"""What a sender gives to its socket, write by write, for a command set and a dataset."""


@pytest.fixture(params=[True, False], ids=["streaming", "whole"])
def streaming(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def fragments(content: bytes, size: int, control: int) -> list[PDV]:
    parts = [(control, content[start : start + size]) for start in range(0, len(content), size)]
    return [*parts[:-1], (control | LAST, parts[-1][1])]


def together(pdvs: Sequence[PDV]) -> bytes:
    """One PDU of several PDVs."""
    return pdu(P_DATA, b"".join(struct.pack(">IBB", len(part) + 2, 1, control) + part for control, part in pdvs))


def alone(pdvs: Sequence[PDV]) -> Iterator[bytes]:
    """One PDU for each PDV."""
    for control, part in pdvs:
        yield p_data(1, control, part)


def pynetdicom_like(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    yield from message(1, command_set, dataset, 131_066)


def dcmtk_like(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    yield from message(1, command_set, dataset, 16_384 - 12)


def dcm4che_like(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    first, *rest = fragments(dataset, 16_378, 0)
    yield together([(COMMAND | LAST, command_set), first])
    yield from alone(rest)


def one_pdu_for_all(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    yield together([(COMMAND | LAST, command_set), (LAST, dataset)])


def many_pdvs_in_one_pdu(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    yield together([(COMMAND | LAST, command_set), *fragments(dataset, 1000, 0)])


def pdvs_of_one_byte_each_in_its_pdu(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    yield from alone([*fragments(command_set, 1, COMMAND), *fragments(dataset, 1, 0)])


def pdvs_of_one_byte_in_one_pdu(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    yield together([*fragments(command_set, 1, COMMAND), *fragments(dataset, 1, 0)])


def command_in_three_pdus(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    yield from alone([*fragments(command_set, len(command_set) // 3 + 1, COMMAND), *fragments(dataset, 32_768, 0)])


def last_fragments_empty(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    yield from alone([(COMMAND, command_set), (COMMAND | LAST, b""), (0, dataset), (LAST, b"")])


def empty_fragments_between(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    half = len(dataset) // 2
    yield from alone([(COMMAND | LAST, command_set), (0, b""), (0, dataset[:half]), (0, b""), (LAST, dataset[half:])])


def odd_fragments(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    yield from alone([*fragments(command_set, 7, COMMAND), *fragments(dataset, 9973, 0)])


def byte_by_byte(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    content = b"".join(message(1, command_set, dataset, 100))
    for position in range(len(content)):
        yield content[position : position + 1]


def in_writes_across_headers(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    content = b"".join(message(1, command_set, dataset, 8192))
    for start in range(0, len(content), 8198 - 5):
        yield content[start : start + 8198 - 5]


def in_one_write(command_set: bytes, dataset: bytes) -> Iterator[bytes]:
    yield b"".join(message(1, command_set, dataset, 4096))


PACKINGS: list[tuple[Packing, bytes]] = [
    (pynetdicom_like, DATASET),
    (dcmtk_like, DATASET),
    (dcm4che_like, DATASET),
    (one_pdu_for_all, DATASET),
    (many_pdvs_in_one_pdu, DATASET),
    (pdvs_of_one_byte_each_in_its_pdu, SMALL),
    (pdvs_of_one_byte_in_one_pdu, SMALL),
    (command_in_three_pdus, DATASET),
    (last_fragments_empty, DATASET),
    (empty_fragments_between, DATASET),
    (odd_fragments, DATASET),
    (byte_by_byte, SMALL),
    (in_writes_across_headers, DATASET),
    (in_one_write, DATASET),
]


def associated(receiver: Receiver) -> Connection:
    return Connection.open(receiver.address).associate("NODE", "PACKER", CONTEXTS)


def stored_parts(path: Path) -> tuple[dict[str, str], bytes]:
    """File Meta Information without addresses and its length, and the dataset."""
    content = path.read_bytes()
    meta = read_file_meta_info(path)
    told = {e.keyword: str(e.value) for e in meta if e.keyword not in {*ADDRESSES, "FileMetaInformationGroupLength"}}
    return told, content[144 + meta.FileMetaInformationGroupLength :]


def files(spool: Spool) -> list[Path]:
    return sorted(path for path in spool.root.rglob("*") if path.is_file())


@pytest.mark.parametrize(("packing", "dataset"), PACKINGS, ids=[packing.__name__ for packing, _ in PACKINGS])
def test_an_instance_arrives_bit_for_bit_however_it_is_packed(
    receiver: Receiver, spool: Spool, packing: Packing, dataset: bytes
) -> None:
    with associated(receiver) as connection:
        for connection.message_id in (1, 2):
            for part in packing(c_store_rq(CT, INSTANCE, connection.message_id), dataset):
                connection.send(part)
            assert connection.read_status() == 0x0000
        assert connection.echo(3) == 0x0000
        connection.release()
    assert [stored_parts(path)[1] == dataset for path in files(spool)] == [True, True]


def test_a_file_is_the_same_whichever_way_it_came(start_receiver: Callable[..., Receiver], spool: Spool) -> None:
    for streams in (True, False):
        receiver = start_receiver(streaming=streams)
        for packing in (pynetdicom_like, dcm4che_like, one_pdu_for_all):
            with associated(receiver) as connection:
                connection.message_id = 1
                for part in packing(c_store_rq(CT, INSTANCE, 1), DATASET):
                    connection.send(part)
                assert connection.read_status() == 0x0000
                connection.release()
    parts = [stored_parts(path) for path in files(spool)]
    assert len(parts) == 6
    assert all(part == parts[0] for part in parts)
    assert parts[0][0]["MediaStorageSOPInstanceUID"] == INSTANCE
    assert len({path.stat().st_size for path in files(spool)}) == 1


def test_messages_that_do_not_wait_for_answers_are_answered_in_order(receiver: Receiver, spool: Spool, streaming: bool) -> None:
    """With streaming even where the release comes along; pynetdicom's own reactor forgets there what it has not answered."""
    release = pdu(RELEASE_RQ, bytes(4))
    datasets = [bytes([number]) * 1000 * number for number in range(1, 21)]
    with associated(receiver) as connection:
        content = b"".join(
            part
            for number, dataset in enumerate(datasets, start=1)
            for part in message(1, c_store_rq(CT, f"{INSTANCE}.{number}", number), dataset, 4096)
        )
        connection.send(content + (release if streaming else b""))  # in the same read as the last data
        for connection.message_id in range(1, len(datasets) + 1):
            assert connection.read_status() == 0x0000
        connection.send(b"" if streaming else release)
        assert connection.read_pdu()[0] == RELEASE_RP
    assert [stored_parts(path)[1] for path in files(spool)] == datasets


def test_an_echo_between_two_stores_in_one_write_is_answered(receiver: Receiver, spool: Spool) -> None:
    with associated(receiver) as connection:
        first, last = (b"".join(message(1, c_store_rq(CT, INSTANCE, number), SMALL)) for number in (1, 3))
        connection.send(first + p_data(3, COMMAND | LAST, c_echo_rq(2)) + last)
        answered = {struct.unpack("<H", response_to(connection))[0] for _ in range(3)}
        connection.release()
    assert answered == {1, 2, 3}
    assert len(files(spool)) == 2


def response_to(connection: Connection) -> bytes:
    kind, body = connection.read_pdu()
    assert kind == P_DATA
    position = body.index(struct.pack("<HHI", 0, 0x0120, 2)) + 8
    return body[position : position + 2]


@pytest.mark.parametrize("size", [0, 1, 131_071, 131_072, 262_143, 262_144, 262_145, 524_288])
def test_datasets_around_the_size_of_a_read_arrive(receiver: Receiver, spool: Spool, size: int) -> None:
    dataset = DATASET[:256] * (size // 256) + DATASET[: size % 256]
    with associated(receiver) as connection:
        parts = list(message(1, c_store_rq(CT, INSTANCE, 1), dataset)) + ([] if dataset else [p_data(1, LAST, b"")])
        connection.message_id = 1
        for part in parts:
            connection.send(part)
        assert connection.read_status() == (0x0000 if dataset else 0xC000)
        connection.release()
    assert [stored_parts(path)[1] for path in files(spool)] == ([dataset] if dataset else [])


def cut_short(connection: Connection) -> None:
    connection.socket.close()


@pytest.mark.parametrize("end", [Connection.abort, Connection.reset, cut_short])
@pytest.mark.parametrize("share", [0.2, 0.9999])
def test_an_instance_whose_rest_does_not_come_leaves_nothing(
    receiver: Receiver, spool: Spool, end: Callable[[Connection], None], share: float
) -> None:
    connection = associated(receiver)
    content = b"".join(message(1, c_store_rq(CT, INSTANCE, 1), DATASET, 4096))
    connection.send(content[: int(len(content) * share)])
    end(connection)
    wait_until(lambda: receiver.association_count == 0, "the association ends")
    assert not files(spool)


def test_an_instance_of_a_context_that_was_not_accepted_ends_the_association(receiver: Receiver, spool: Spool) -> None:
    with associated(receiver) as connection:
        for part in message(5, c_store_rq(CT, INSTANCE, 1), SMALL):
            connection.send(part)
        with pytest.raises(Gone, match=r"aborted|closed"):
            connection.read_pdu()
    assert not files(spool)


def test_a_request_that_announces_no_dataset_is_refused_and_the_next_is_kept(receiver: Receiver, spool: Spool) -> None:
    elements = [(0x0002, CT.encode()), (0x0100, us(1)), (0x0110, us(1)), (0x0800, us(0x0101)), (0x1000, INSTANCE.encode())]
    with associated(receiver) as connection:
        connection.message_id = 1
        connection.send(p_data(1, COMMAND | LAST, command(elements)))
        assert connection.read_status() == 0xC000
        assert connection.store(1, CT, INSTANCE, SMALL, 4096) == 0x0000
        connection.release()
    assert len(files(spool)) == 1


def test_a_message_larger_than_the_limit_is_refused_and_the_association_goes_on(
    start_receiver: Callable[..., Receiver], spool: Spool
) -> None:
    receiver = start_receiver(max_instance_bytes=100_000)
    with associated(receiver) as connection:
        assert connection.store(1, CT, INSTANCE, DATASET[:100_001], 4096) == 0xC000
        assert not files(spool)
        assert connection.store(1, CT, INSTANCE, DATASET[:100_000], 4096) == 0x0000
        assert connection.store(1, CT, INSTANCE, DATASET, 1 << 20) == 0xC000
        assert connection.echo(3) == 0x0000
        connection.release()
    assert [stored_parts(path)[1] for path in files(spool)] == [DATASET[:100_000]]


@pytest.mark.parametrize("streaming", [True])  # else pynetdicom hands a message over when it is whole
def test_an_instance_that_takes_too_long_ends_its_association_and_leaves_nothing(
    start_receiver: Callable[..., Receiver], spool: Spool, streaming: bool
) -> None:
    receiver = start_receiver(max_instance_s=0.3)
    with associated(receiver) as connection:
        connection.send(p_data(1, COMMAND | LAST, c_store_rq(CT, INSTANCE, 1)))
        wait_until(lambda: bool(list(spool.incoming.iterdir())), "it has begun")

        def is_cut_off() -> bool:
            try:
                connection.send(p_data(1, 0, b"a little more"))
                connection.socket.settimeout(0.01)
                connection.read_pdu()
            except Gone as gone:
                return "timed out" not in str(gone)
            return True

        wait_until(is_cut_off, "the association ends", 10.0)
    wait_until(lambda: receiver.association_count == 0, "the association has ended")
    assert not files(spool)
