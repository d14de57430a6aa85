"""The C-STORE command sets that the receiver reads and writes itself, held against pynetdicom's encoder and decoder."""

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF

from dicom_node.receive.command import StoreCommand, read_store_command, store_response
from tests.chaos.wire import c_echo_rq, c_store_rq, command, element, us

CT = "1.2.840.10008.5.1.4.1.1.2"
STORE, RESPONSE, ECHO = us(0x0001), us(0x8001), us(0x0030)
uids = st.lists(st.integers(0, 99_999).map(str), min_size=2, max_size=10).map(".".join)
numbers = st.integers(0, 0xFFFF)


def encoded(message: C_STORE, context_id: int, largest_pdu: int) -> bytes:
    """The command set that pynetdicom sends."""
    made = C_STORE_RQ()
    made.primitive_to_message(message)
    values = [value for data in made.encode_msg(context_id, largest_pdu) for value in data.presentation_data_value_list]
    return b"".join(bytes(value)[1:] for _, value in values if bytes(value)[0] & 1)


@given(numbers, uids, uids, st.booleans(), st.integers(0, 2), st.none() | st.tuples(st.just("ORIGINATOR"), numbers))
def test_a_request_of_pynetdicom_is_read(
    message_id: int, sop_class: str, instance: str, has_dataset: bool, priority: int, originator: tuple[str, int] | None
) -> None:
    message = C_STORE()
    message.MessageID, message.Priority = message_id, priority
    message.AffectedSOPClassUID, message.AffectedSOPInstanceUID = sop_class, instance
    message.DataSet = BytesIO(b"dataset.") if has_dataset else None
    if originator is not None:
        message.MoveOriginatorApplicationEntityTitle, message.MoveOriginatorMessageID = originator
    read = read_store_command(encoded(message, 1, 0))
    assert read == StoreCommand(message_id, sop_class, instance, has_dataset)


def decoded(response: bytes) -> tuple[DIMSEMessage, int, int]:
    """What pynetdicom makes of a response: message, presentation context ID, bytes of PDUs."""
    pdu = P_DATA_TF()
    pdu.decode(response)
    message, association = DIMSEMessage(), None
    assert message.decode_msg(pdu.to_primitive(), association)
    return message, message.context_id or 0, pdu.pdu_length + 6


comments = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), max_size=100)


@given(numbers, uids, uids, st.integers(0, 127), st.sampled_from([0, 0x0110, 0xA700, 0xA900, 0xC000]), comments)
def test_a_response_is_read_by_pynetdicom(
    message_id: int, sop_class: str, instance: str, context: int, status: int, comment: str
) -> None:
    response = store_response(StoreCommand(message_id, sop_class, instance), 2 * context + 1, status, comment)
    message, context_id, length = decoded(response)
    assert isinstance(message, C_STORE_RSP)
    assert (context_id, length) == (2 * context + 1, len(response))
    primitive: Any = message.message_to_primitive()
    assert (primitive.MessageIDBeingRespondedTo, primitive.Status) == (message_id, status)
    assert (primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID) == (sop_class, instance)
    assert (primitive.ErrorComment or "").strip() == comment[:64].strip()
    assert primitive.is_valid_response


@given(uids, comments)
def test_a_response_is_byte_for_byte_that_of_pynetdicom(instance: str, comment: str) -> None:
    answer: Any = C_STORE()
    answer.MessageIDBeingRespondedTo, answer.Status = 7, 0xA700
    answer.AffectedSOPClassUID, answer.AffectedSOPInstanceUID = CT, instance
    if comment:
        answer.ErrorComment = comment[:64]
    made = C_STORE_RSP()
    made.primitive_to_message(answer)
    (data,) = made.encode_msg(3, 0)
    pdu = P_DATA_TF()
    pdu.from_primitive(data)
    assert store_response(StoreCommand(7, CT, instance), 3, 0xA700, comment) == pdu.encode()


def request(*elements: tuple[int, bytes]) -> bytes:
    return command([(0x0100, STORE), (0x0110, us(7)), (0x0800, us(1)), *elements])


@pytest.mark.parametrize(
    ("command_set", "expected"),
    [
        (request(), StoreCommand(7, "", "")),
        (request((0x0002, b"1.2 "), (0x1000, b"1.3\0")), StoreCommand(7, "1.2", "1.3")),
        (request((0x0800, us(0x0101))), StoreCommand(7, "", "", has_dataset=False)),
        (request((0x1000, b"\xff\xfe")), StoreCommand(7, "", "\ufffd\ufffd")),
        (command([(0x0100, STORE), (0x0110, us(7))]), StoreCommand(7, "", "")),
        (c_store_rq(CT, "1.2.3", 9)[12:], StoreCommand(9, CT, "1.2.3")),  # without a group length
        (c_echo_rq(1), None),
        (command([(0x0100, STORE)]), None),
        (command([(0x0100, STORE), (0x0110, b"7777")]), None),
        (command([(0x0100, RESPONSE), (0x0120, us(7))]), None),
        (request((0x0120, us(7))), None),
        (request() + element(0x0008, 0x0018, b"1.2"), None),
        (request()[:-1], None),
        (b"", None),
    ],
)
def test_what_is_a_store_request_and_what_is_not(command_set: bytes, expected: StoreCommand | None) -> None:
    assert read_store_command(command_set) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_are_no_request(command_set: bytes) -> None:
    for content in (command_set, request() + command_set, request((0x1000, command_set)), bytearray(command_set)):
        read = read_store_command(content)
        if read is not None:
            decode_any(store_response(read, 1, 0xC000, read.sop_instance_uid))


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=6))
def test_mutations_of_a_request_are_read_or_are_no_request(mutations: list[tuple[int, int]]) -> None:
    content = bytearray(c_store_rq(CT, "1.2.3.4", 7))
    for position, value in mutations:
        content[position % len(content)] = value
    read = read_store_command(content)
    if read is not None:
        decode_any(store_response(read, 1, 0))


def decode_any(response: bytes) -> None:
    """A response is a sound PDU even where the request's values are not."""
    pdu = P_DATA_TF()
    pdu.decode(response)
    assert pdu.pdu_length + 6 == len(response)
    ((_, value),) = pdu.to_primitive().presentation_data_value_list
    assert bytes(value)[0] == 3


@given(uids, uids, comments, st.integers(7, 400))
def test_a_response_is_cut_where_the_peer_takes_only_short_pdus(sop_class: str, instance: str, comment: str, most: int) -> None:
    command = StoreCommand(7, sop_class, instance)
    response = store_response(command, 3, 0xA700, comment, most)
    message, rest = DIMSEMessage(), response
    while rest:
        length = int.from_bytes(rest[2:6], "big")
        assert length <= most
        pdu = P_DATA_TF()
        pdu.decode(rest[: 6 + length])
        is_whole = message.decode_msg(pdu.to_primitive(), None)
        rest = rest[6 + length :]
        assert is_whole == (not rest)
    assert (message.command_set.Status, message.command_set.MessageIDBeingRespondedTo) == (0xA700, 7)
