"""Peers that mean harm: each try is one connection, a function of a random number generator; what came of it is told."""

import random
import struct
from collections.abc import Callable

from tests.chaos.wire import (
    C_STORE_RQ,
    COMMAND,
    CT,
    DEFLATED,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LAST,
    MR,
    P_DATA,
    RELEASE_RQ,
    VERIFICATION,
    Connection,
    Gone,
    associate_rq,
    c_echo_rq,
    c_store_rq,
    command,
    message,
    p_data,
    pdu,
    us,
)
from tests.hostile.datasets import HOSTILE, sound

CONTEXTS = ((CT, (EXPLICIT_LITTLE,)), (CT, (IMPLICIT_LITTLE,)), (CT, (DEFLATED,)), (VERIFICATION, (IMPLICIT_LITTLE,)))
CONTEXT_IDS = {EXPLICIT_LITTLE: 1, IMPLICIT_LITTLE: 3, DEFLATED: 5}
CALLED = "DICOM-NODE"
ANSWER_S = 30.0

Address = tuple[str, int]
Kind = Callable[[Connection, random.Random], str]


class Hung(AssertionError):
    """The node neither answered nor closed."""


def attempt(address: Address, chance: random.Random, kind: Kind | None = None) -> str:
    """One try, of any kind if none is given; what came of it, in a word or two.

    Raises:
        Hung: nothing came of it.
        Gone: nobody listens.
    """
    kind = kind or chance.choice(KINDS)
    with Connection.open(address, ANSWER_S) as connection:
        try:
            return f"{kind.__name__}: {kind(connection, chance)}"
        except Gone as gone:
            if isinstance(gone.__cause__, TimeoutError):
                raise Hung(f"{kind.__name__}: no answer within {ANSWER_S} s") from gone
            return f"{kind.__name__}: connection ended"


def _drain(connection: Connection) -> str:
    """Say no more, and read until the node closes."""
    try:
        connection.socket.shutdown(1)
    except OSError as error:
        raise Gone("closed") from error
    answers = False
    while True:
        try:
            connection.read_pdu()
        except Gone as gone:
            if isinstance(gone.__cause__, TimeoutError):
                raise
            return "answered, closed" if answers else "closed"
        answers = True


def _flipped(content: bytes, chance: random.Random, most: int = 8) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, most)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed[: chance.choice([len(changed), len(changed), chance.randrange(1, len(changed) + 1)])])


def noise(connection: Connection, chance: random.Random) -> str:
    """No DICOM at all."""
    connection.send(
        chance.choice([chance.randbytes(chance.randrange(1, 400)), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\xf4"])
    )
    return _drain(connection)


def garbled_request(connection: Connection, chance: random.Random) -> str:
    connection.send(_flipped(associate_rq(CALLED, "HOSTILE", CONTEXTS), chance))
    return _drain(connection)


def odd_request(connection: Connection, chance: random.Random) -> str:
    """Too many contexts, none, empty ones, strange UIDs, lies about lengths."""
    odd: list[tuple[str, tuple[str, ...]]] = [
        (
            chance.choice([CT, "", "1" * 70, "ä", MR]),
            chance.choice([("1.2",), (), ("",), (EXPLICIT_LITTLE,) * 60, ("x" * 200,)]),
        )
        for _ in range(chance.choice([0, 1, 100, 127]))
    ]
    content = associate_rq(chance.choice([CALLED, "", "\0" * 16]), "HOSTILE", odd)
    if chance.random() < 0.4:
        content = content[:2] + struct.pack(">I", chance.choice([0, 1, 67, 1 << 20, 0xFFFFFFFF])) + content[6:]
    connection.send(content)
    return _drain(connection)


def wrong_pdu(connection: Connection, chance: random.Random) -> str:
    """A PDU of any type and any length, before or within an association."""
    if chance.random() < 0.7:
        connection.associate(CALLED, "HOSTILE", CONTEXTS)
    body = chance.randbytes(chance.randrange(64))
    length = chance.choice([len(body), len(body), 0, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 24])
    connection.send(struct.pack(">BxI", chance.randrange(256), length) + body)
    return _drain(connection)


def wrong_pdv(connection: Connection, chance: random.Random) -> str:
    """P-DATA whose items lie: no length, one beyond the PDU, an unknown context, odd control bits."""
    connection.associate(CALLED, "HOSTILE", CONTEXTS)
    fragment = chance.randbytes(chance.randrange(40))
    length = chance.choice([0, 1, 2, len(fragment) + 2, len(fragment) + 3, 0xFFFFFFFF])
    item = struct.pack(">IBB", length, chance.choice([0, 1, 2, 9, 255]), chance.randrange(256)) + fragment
    connection.send(pdu(P_DATA, chance.choice([item, item * 3, b"", item[:3]])))
    return _drain(connection)


def garbled_command(connection: Connection, chance: random.Random) -> str:
    connection.associate(CALLED, "HOSTILE", CONTEXTS)
    sent = chance.choice([c_store_rq(CT, "1.2.3", 1), c_echo_rq(1)])
    connection.send(p_data(chance.choice([1, 7]), COMMAND | LAST, _flipped(sent, chance)))
    connection.send(p_data(1, LAST, b"data"))
    return _drain(connection)


def odd_command(connection: Connection, chance: random.Random) -> str:
    """Elements are missing, twice, empty, of the wrong length, or of any value."""
    connection.associate(CALLED, "HOSTILE", CONTEXTS)
    possible = [
        (0x0002, chance.choice([CT.encode(), b"", b"\xff" * 70, MR.encode()])),
        (0x0100, us(chance.choice([C_STORE_RQ, 0x0030, 0x8001, 0x0FFF, 0x0020, 0x0100, chance.randrange(65536)]))),
        (0x0110, chance.choice([us(1), b"", b"\1\2\3\4\5\6"])),
        (0x0120, us(7)),
        (0x0700, us(chance.randrange(65536))),
        (0x0800, us(chance.choice([1, 0x0101, chance.randrange(65536)]))),
        (0x1000, chance.choice([b"1.2.3", b"", b"../../../x", b"1" * 3000, "ä\0".encode()])),
        (chance.randrange(65536), chance.randbytes(20)),
    ]
    chosen = [element for element in possible for _ in range(chance.choice([0, 1, 1, 1, 2]))]
    for part in message(1, command(chosen), b"some data", 4):
        connection.send(part)
    return _drain(connection)


def out_of_turn(connection: Connection, chance: random.Random) -> str:
    """Data without a command, a command within data, a release within a message, a command that never ends."""
    connection.associate(CALLED, "HOSTILE", CONTEXTS)
    store, echo = c_store_rq(CT, "1.2.3", 1), c_echo_rq(2)
    orders = (
        [p_data(1, LAST, b"data"), p_data(1, 0, b"data")],
        [p_data(1, COMMAND | LAST, store), p_data(1, 0, b"data"), p_data(7, COMMAND | LAST, echo)],
        [p_data(1, COMMAND | LAST, store), p_data(3, 0, b"data"), p_data(1, LAST, b"data")],
        [p_data(1, COMMAND | LAST, store), p_data(1, 0, b"data"), pdu(RELEASE_RQ, bytes(4))],
        [p_data(1, COMMAND, store[: len(store) // 2]), pdu(RELEASE_RQ, bytes(4))],
        [p_data(1, COMMAND, bytes(8000))] * 40,
        [associate_rq(CALLED, "HOSTILE", CONTEXTS)] * 2,
        [pdu(RELEASE_RQ, bytes(4))] * 3,
    )
    for part in chance.choice(orders):
        connection.send(part)
    return _drain(connection)


def hostile_instance(connection: Connection, chance: random.Random) -> str:
    """A well-behaved C-STORE of a dataset that means harm."""
    syntax, dataset = chance.choice(HOSTILE)(chance)
    connection.associate(CALLED, "HOSTILE", CONTEXTS)
    uid = f"1.2.826.0.1.3680043.10.1999.5.{chance.randrange(10**12)}"
    status = connection.store(CONTEXT_IDS[syntax], CT, uid, dataset, chance.choice([1000, 30_000]))
    connection.release()
    return f"status {status:04X}H"


def broken_off(connection: Connection, chance: random.Random) -> str:
    """Everything in order, until it stops."""
    connection.associate(CALLED, "HOSTILE", CONTEXTS)
    sent = b"".join(message(1, c_store_rq(CT, "1.2.3.4", 1), sound(chance), 5000))
    connection.send(sent[: chance.randrange(len(sent))])
    if chance.random() < 0.5:
        connection.reset()
        return "reset by us"
    return _drain(connection)


def garbled_message(connection: Connection, chance: random.Random) -> str:
    """All PDUs of a C-STORE, with other bytes here and there."""
    connection.associate(CALLED, "HOSTILE", CONTEXTS)
    sent = b"".join(message(1, c_store_rq(CT, "1.2.3.5", 1), sound(chance)[:3000], 700))
    connection.send(_flipped(sent[:400], chance) + sent[400:])
    return _drain(connection)


KINDS: tuple[Kind, ...] = (
    noise,
    garbled_request,
    odd_request,
    wrong_pdu,
    wrong_pdv,
    garbled_command,
    odd_command,
    out_of_turn,
    hostile_instance,
    hostile_instance,
    hostile_instance,
    broken_off,
    garbled_message,
)
