"""What is fuzzed: functions of bytes that must end in a documented outcome; anything else is a crash."""

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from dicom_node.errors import UnreadableInstanceError
from dicom_node.headers import read_instance
from dicom_node.receive.command import StoreCommand, read_store_command, store_response
from dicom_node.receive.part10 import StoreRequest, head
from dicom_node.receive.pdata import PDataStream, ProtocolError
from tests.chaos.wire import CT, EXPLICIT_LITTLE, c_echo_rq, c_store_rq, message
from tests.hostile.datasets import HOSTILE, sound

LARGEST_PDU_BYTES = 1 << 16
LARGEST_SEED_BYTES = 1 << 16
_FILE = Path(tempfile.gettempdir()) / f"fuzzed-{random.SystemRandom().randrange(1 << 48):x}.dcm"


def header(content: bytes) -> None:
    """A file is indexed, or refused with a reason."""
    _FILE.write_bytes(content)
    try:
        with suppress(UnreadableInstanceError):
            assert read_instance(_FILE, received_at=1.0).sop_instance_uid
    finally:
        _FILE.unlink()


class Heard:
    """A sink that remembers what it was told, however it was cut."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, str, bytes]] = []
        self.refused = False

    def command(self, context_id: int, command_set: bytes) -> bool:
        self.messages.append((context_id, "command", command_set))
        self.messages.append((context_id, "data", b""))
        found = read_store_command(command_set)
        return found is not None and found.has_dataset

    def data(self, context_id: int, fragments: list[memoryview], *, last: bool) -> None:
        kind, before = "data", self.messages.pop()
        assert before[:2] == (context_id, kind), "data of no message"
        self.messages.append((context_id, kind, before[2] + b"".join(fragments)))


def hear(content: bytes, sizes: list[int]) -> Heard:
    """What a stream makes of bytes that come in pieces of these sizes, over and over; what it leaves comes again."""
    heard = Heard()
    stream = PDataStream(heard, LARGEST_PDU_BYTES)
    begin, end, turn = 0, 0, 0
    try:
        while end < len(content):
            end = min(len(content), end + sizes[turn % len(sizes)])
            turn += 1
            used = stream.feed(memoryview(content)[begin:end])
            assert 0 <= used <= end - begin
            begin += used
    except ProtocolError:
        heard.refused = True
    return heard


def pdata(content: bytes) -> None:
    """However the network cuts it, the same bytes say the same, up to where they are refused."""
    if not content:
        return
    whole, cut = hear(content[1:], [len(content)]), hear(content[1:], [content[0] or 1, 1, 7])
    assert whole.refused == cut.refused
    if not whole.refused:
        assert whole.messages == cut.messages


def command(content: bytes) -> None:
    """A command set is a C-STORE-RQ that can be answered, or none; the answer is one that a peer could read."""
    found = read_store_command(content)
    if isinstance(found, StoreCommand):
        answer = store_response(found, 1, 0xA700, "disk nearly full")
        assert int.from_bytes(answer[2:6], "big") == len(answer) - 6


TARGETS: dict[str, Callable[[bytes], None]] = {"header": header, "pdata": pdata, "command": command}


def seeds(target: str) -> Iterator[bytes]:
    """Where the fuzzer begins."""
    if target == "command":
        yield from (c_store_rq(CT, "1.2.3", 1), c_echo_rq(2))
    elif target == "pdata":
        for size in (50, 4000):
            yield b"\x05" + b"".join(message(1, c_store_rq(CT, "1.2.3", 1), sound(random.Random(size))[:9000], size))
    else:
        for number, make in enumerate(HOSTILE):
            syntax, dataset = make(random.Random(number))
            yield head(StoreRequest(CT, "", syntax)) + dataset[:LARGEST_SEED_BYTES]
        yield head(StoreRequest(CT, "", EXPLICIT_LITTLE)) + sound(random.Random(1))[:LARGEST_SEED_BYTES]
