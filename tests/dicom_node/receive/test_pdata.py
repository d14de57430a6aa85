"""P-DATA-TF taken apart: any legal packing gives the same messages, anything illegal is refused, and nothing is held."""

import contextlib
import struct
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.receive.pdata import LARGEST_COMMAND_BYTES, PDataStream, ProtocolError
from tests.chaos.wire import COMMAND, LAST, P_DATA, RELEASE_RQ, p_data, pdu

WITH_DATASET, WITHOUT_DATASET = b"D", b"C"  # the first byte of a command set, for these tests
BUFFER_BYTES = 1 << 16
Message = tuple[int, bytes, bytes | None]
"""Presentation context ID, command set, dataset."""
PDV = tuple[int, int, bytes]
"""Presentation context ID, message control header, fragment."""


@dataclass
class Sink:
    """Keeps what it gets, as bytes."""

    messages: list[Message] = field(default_factory=list)
    data_bytes: int = 0
    _open: tuple[int, bytes, bytearray] | None = None

    def command(self, context_id: int, command_set: bytes) -> bool:
        assert self._open is None
        if command_set.startswith(WITH_DATASET):
            self._open = (context_id, command_set, bytearray())
            return True
        self.messages.append((context_id, command_set, None))
        return False

    def data(self, context_id: int, fragments: list[memoryview], *, last: bool) -> None:
        assert self._open is not None
        opened, command_set, dataset = self._open
        assert context_id == opened
        for fragment in fragments:
            dataset += fragment
            self.data_bytes += len(fragment)
        if last:
            self.messages.append((context_id, command_set, bytes(dataset)))
            self._open = None


def feed(stream: PDataStream, reads: Sequence[bytes], after_each: Callable[[int], None] = lambda taken: None) -> bytes:
    """Feed as the socket's reader does: what was not used comes again, with more behind it. What is not used at the end."""
    held, taken = bytearray(), 0
    for read in reads:
        held += read
        used = stream.feed(memoryview(held))
        del held[:used]  # a view that was kept makes this raise BufferError
        taken += used
        after_each(taken)
    return bytes(held)


def split(content: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    return [content[begin:end] for begin, end in pairwise(edges)]


cuts = st.lists(st.integers(0, 1 << 16), max_size=8)


@st.composite
def messages(draw: st.DrawFn) -> tuple[Message, list[PDV]]:
    """A message, and the PDVs that its sender made of it; fragments may be empty, the last one too."""
    context_id = draw(st.integers(0, 127)) * 2 + 1
    dataset = draw(st.none() | st.binary(max_size=300))
    kind = WITHOUT_DATASET if dataset is None else WITH_DATASET
    command_set = kind + draw(st.binary(max_size=100))
    reserved = draw(st.integers(0, 63)) << 2  # bits of the control header that mean nothing
    pdvs = [(context_id, COMMAND | reserved, part) for part in split(command_set, draw(cuts))]
    pdvs[-1] = (context_id, COMMAND | LAST, pdvs[-1][2])
    if dataset is not None:
        pdvs += [(context_id, reserved, part) for part in split(dataset, draw(cuts))]
        pdvs[-1] = (context_id, LAST | reserved, pdvs[-1][2])
    return (context_id, command_set, dataset), pdvs


def packed(pdvs: Sequence[PDV], chance: Callable[[], bool]) -> Iterator[bytes]:
    """PDUs of one PDV or more."""
    body = b""
    for context_id, control, fragment in pdvs:
        body += struct.pack(">IBB", len(fragment) + 2, context_id, control) + fragment
        if chance():
            yield pdu(P_DATA, body)
            body = b""
    if body:
        yield pdu(P_DATA, body)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], list[PDV], list[bytes]]:
    made = draw(st.lists(messages(), min_size=1, max_size=4))
    pdvs = [pdv for _, own in made for pdv in own]
    ends = iter(draw(st.lists(st.booleans(), min_size=len(pdvs), max_size=len(pdvs))))
    return [message for message, _ in made], pdvs, list(packed(pdvs, lambda: next(ends)))


others = st.sampled_from([b"", pdu(RELEASE_RQ, bytes(4)), pdu(7, bytes(4)), b"\x05", b"GET / HTTP/1.1\r\n\r\n"])


@given(conversations(), others, st.lists(st.integers(0, 1 << 16), max_size=30), st.booleans())
def test_any_packing_and_any_cut_into_reads_gives_the_same_messages(
    conversation: tuple[list[Message], list[PDV], list[bytes]], other: bytes, reads: list[int], byte_by_byte: bool
) -> None:
    expected, _, pdus = conversation
    content = b"".join(pdus)
    sink = Sink()
    stream = PDataStream(sink)
    rest = feed(stream, [bytes([b]) for b in content] if byte_by_byte else split(content, reads))
    assert (rest, stream.between_pdus) == (b"", True)
    assert feed(stream, [other]) == other
    assert sink.messages == expected


@given(conversations(), others, st.lists(st.integers(0, 1 << 16), max_size=30))
def test_a_pdu_of_another_type_is_left_where_it_begins(
    conversation: tuple[list[Message], list[PDV], list[bytes]], other: bytes, reads: list[int]
) -> None:
    expected, _, pdus = conversation
    sink = Sink()
    stream = PDataStream(sink)
    assert feed(stream, split(b"".join(pdus) + other, reads)) == other
    assert sink.messages == expected
    assert stream.between_pdus


@given(conversations(), st.lists(st.integers(0, 1 << 16), max_size=30))
def test_every_byte_of_a_dataset_is_handed_on_with_the_read_that_brought_it(
    conversation: tuple[list[Message], list[PDV], list[bytes]], reads: list[int]
) -> None:
    """Counted in bytes of the stream: what was used and is data was handed on; what was not used is a header at most."""
    _, _, pdus = conversation
    is_data = bytearray()
    for part in pdus:
        is_data += bytes(6)
        position = 6
        while position < len(part):
            length, _, control = struct.unpack_from(">IBB", part, position)
            is_data += bytes(6) + bytes([not control & COMMAND]) * (length - 2)
            position += 4 + length
    sink = Sink()

    def compare(taken: int) -> None:
        assert sink.data_bytes == sum(is_data[:taken])

    assert not feed(PDataStream(sink), split(b"".join(pdus), reads), compare)


INTRUDERS: dict[str, bytes] = {
    "shorter than its own header": pdu(P_DATA, struct.pack(">IBB", 1, 1, COMMAND)),
    "no length at all": pdu(P_DATA, struct.pack(">IBB", 0, 1, COMMAND)),
    "longer than its PDU": pdu(P_DATA, struct.pack(">IBB", 100, 1, COMMAND) + b"x" * 10),
    "longer by a byte than its PDU": pdu(P_DATA, struct.pack(">IBB", 13, 1, COMMAND) + b"x" * 10) + bytes(6),
    "as long as its PDU": pdu(P_DATA, struct.pack(">IBB", 16, 1, COMMAND) + b"x" * 10) + bytes(6),
    "an endless PDV": pdu(P_DATA, struct.pack(">IBB", 0xFFFFFFFF, 1, COMMAND) + b"x" * 10),
    "a PDU without PDVs": pdu(P_DATA, b"") + bytes(6),
    "a PDU with a rest": pdu(P_DATA, struct.pack(">IBB", 2, 1, COMMAND) + b"xyz") + bytes(6),
    "too large a PDU": struct.pack(">BxI", P_DATA, 100_001) + struct.pack(">IBB", 100_000, 1, COMMAND),
}


@pytest.mark.parametrize("intruder", INTRUDERS.values(), ids=INTRUDERS.keys())
@given(conversations(), st.integers(0, 1 << 16), st.lists(st.integers(0, 1 << 16), max_size=10))
def test_a_pdu_that_cannot_be_is_refused_wherever_it_comes(
    intruder: bytes, conversation: tuple[list[Message], list[PDV], list[bytes]], where: int, reads: list[int]
) -> None:
    expected, _, pdus = conversation
    where %= len(pdus) + 1
    sink = Sink()
    with pytest.raises(ProtocolError):
        feed(PDataStream(sink, 100_000), split(b"".join([*pdus[:where], intruder, *pdus[where:]]), reads))
    assert sink.messages == expected[: len(sink.messages)]


def begun(control: int) -> list[bytes]:
    return [p_data(1, COMMAND | LAST, WITH_DATASET), p_data(1, control, b"abc")]


@pytest.mark.parametrize(
    "pdus",
    [
        [p_data(1, 0, b"data")],
        [p_data(1, LAST, b"data")],
        [p_data(1, COMMAND | LAST, WITHOUT_DATASET), p_data(1, LAST, b"data")],
        [p_data(1, COMMAND, WITH_DATASET), p_data(1, 0, b"data")],
        [*begun(0), p_data(1, COMMAND | LAST, WITH_DATASET)],
        [*begun(0), p_data(1, COMMAND, WITH_DATASET)],
        [*begun(LAST), p_data(1, LAST, b"more")],
        [*begun(0), p_data(3, LAST, b"more")],
        [p_data(1, COMMAND | LAST, WITH_DATASET), p_data(3, LAST, b"more")],
        [p_data(1, COMMAND, WITH_DATASET), p_data(3, COMMAND | LAST, b"more")],
        [p_data(1, COMMAND, b""), p_data(3, COMMAND | LAST, WITH_DATASET)],
        [p_data(1, COMMAND | LAST, WITH_DATASET + bytes(LARGEST_COMMAND_BYTES))],
        [p_data(1, COMMAND, WITH_DATASET + bytes(9000))] * 8,
    ],
)
@given(st.lists(st.integers(0, 1 << 17), max_size=10))
def test_a_sequence_that_is_no_message_is_refused(pdus: list[bytes], reads: list[int]) -> None:
    with pytest.raises(ProtocolError):
        feed(PDataStream(Sink()), split(b"".join(pdus), reads))


def refused_or_read(content: bytes, reads: list[int]) -> None:
    with contextlib.suppress(ProtocolError):
        feed(PDataStream(Sink(), 1 << 20), split(content, reads))


@given(st.binary(max_size=200), st.lists(st.integers(0, 1 << 16), max_size=10))
def test_any_bytes_are_refused_with_a_protocol_error_or_read(content: bytes, reads: list[int]) -> None:
    refused_or_read(content, reads)
    refused_or_read(pdu(P_DATA, content), reads)


@given(conversations(), st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4), cuts)
def test_mutations_are_refused_with_a_protocol_error_or_read(
    conversation: tuple[list[Message], list[PDV], list[bytes]], mutations: list[tuple[int, int]], reads: list[int]
) -> None:
    content = bytearray(b"".join(conversation[2]))
    for position, value in mutations:
        content[position % len(content)] = value
    refused_or_read(bytes(content), reads)


def test_the_largest_command_and_the_largest_pdu_are_taken() -> None:
    command_set = WITHOUT_DATASET + bytes(LARGEST_COMMAND_BYTES - 1)
    sink = Sink()
    part = p_data(1, COMMAND | LAST, command_set)
    assert not feed(PDataStream(sink, len(part) - 6), [part])
    assert sink.messages == [(1, command_set, None)]
    with pytest.raises(ProtocolError, match=str(len(part) - 6)):
        feed(PDataStream(sink, len(part) - 7), [part])


class Counter(Sink):
    """Looks at nothing and keeps nothing."""

    def data(self, context_id: int, fragments: list[memoryview], *, last: bool) -> None:
        self.data_bytes += sum(map(len, fragments))


def test_a_dataset_of_any_size_takes_no_memory() -> None:
    sink, count = Counter(), 1000
    stream = PDataStream(sink)
    buffer = bytearray(struct.pack(">BxIIBB", P_DATA, BUFFER_BYTES + 6, BUFFER_BYTES + 2, 1, 0) + bytes(BUFFER_BYTES))
    feed(stream, [p_data(1, COMMAND | LAST, WITH_DATASET)])
    tracemalloc.start()
    try:
        for _ in range(count):
            assert stream.feed(memoryview(buffer)) == len(buffer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sink.data_bytes == count * BUFFER_BYTES
    assert peak < BUFFER_BYTES
