"""Datasets that mean harm, each a function of a random number generator."""

import random
import struct
import zlib
from collections.abc import Callable

from tests.chaos.studies import series
from tests.chaos.wire import DEFLATED, EXPLICIT_LITTLE, IMPLICIT_LITTLE

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
CODE_SEQUENCE, FRAMES, ROWS, COLUMNS, PIXELS = 0x00081032, 0x00280008, 0x00280010, 0x00280011, 0x7FE00010
PER_FRAME, BULK = 0x52009230, 0x00091010
LONG_VRS = {"OB", "OW", "SQ", "UN", "UT"}
VRS = (*LONG_VRS, "UI", "CS", "LO", "DS", "IS", "PN", "DA", "TM", "US", "UL", "FD", "FL", "AT", "AS", "ZZ", "\0\0")
LARGEST_BOMB_BYTES = 48 << 20

Made = tuple[str, bytes]
"""Transfer syntax, dataset."""


def explicit(tag: int, vr: str, length: int, value: bytes = b"") -> bytes:
    """An element of Explicit VR Little Endian; the length may be a lie."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    return head + (struct.pack("<HI", 0, length) if vr in LONG_VRS else struct.pack("<H", length & 0xFFFF)) + value


def delimiter(tag: int, length: int = 0) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length)


def sound(chance: random.Random) -> bytes:
    """A dataset without fault."""
    return series(f"6.{chance.randrange(10**9)}", 1, with_job=True)[0].dataset()


def _begun(chance: random.Random) -> bytes:
    """The beginning of a sound dataset, up to SOP Instance UID and the study's date."""
    whole = sound(chance)
    return whole[: whole.index(struct.pack("<HH2s", 0x0008, 0x0021, b"DA"))]


def nested_without_end(chance: random.Random) -> Made:
    level = explicit(CODE_SEQUENCE, "SQ", UNDEFINED) + delimiter(ITEM, UNDEFINED)
    return EXPLICIT_LITTLE, _begun(chance) + level * chance.choice([10, 300, 3000, 20_000])


def nested_with_lengths(chance: random.Random) -> Made:
    content = b""
    for _ in range(chance.choice([10, 300, 1500])):
        item = delimiter(ITEM, len(content)) + content
        content = explicit(CODE_SEQUENCE, "SQ", len(item), item)
    return EXPLICIT_LITTLE, _begun(chance) + content


def endless_items(chance: random.Random) -> Made:
    items = delimiter(ITEM) * chance.randrange(20_000)
    tag = chance.choice([CODE_SEQUENCE, PER_FRAME])
    return EXPLICIT_LITTLE, _begun(chance) + explicit(tag, "SQ", UNDEFINED, items)


def counted_items(chance: random.Random) -> Made:
    items = delimiter(ITEM) * chance.randrange(20_000)
    tag = chance.choice([CODE_SEQUENCE, PER_FRAME])
    return EXPLICIT_LITTLE, _begun(chance) + explicit(tag, "SQ", len(items), items)


def length_past_the_end(chance: random.Random) -> Made:
    length = chance.choice([UNDEFINED - 1, 0x7FFFFFFF, 0x80000000, 70_000, 10])
    return EXPLICIT_LITTLE, _begun(chance) + explicit(chance.choice([BULK, CODE_SEQUENCE]), "OB", length, b"abcd")


def value_without_end(chance: random.Random) -> Made:
    vr = chance.choice(["OB", "UN", "UT", "OW"])
    return EXPLICIT_LITTLE, _begun(chance) + explicit(BULK, vr, UNDEFINED, chance.randbytes(chance.randrange(5000)))


def huge_matrix(chance: random.Random) -> Made:
    """65,535 rows and columns, and as many frames as can be written, in a file of a few bytes."""
    whole = sound(chance)
    for tag in (ROWS, COLUMNS):
        place = whole.index(struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, b"US"))
        whole = whole[:place] + explicit(tag, "US", 2, b"\xff\xff") + whole[place + 10 :]
    if chance.random() < 0.5:
        place = whole.index(explicit(ROWS, "US", 2))
        whole = whole[:place] + explicit(FRAMES, "IS", 10, b"2147483647") + whole[place:]
    return EXPLICIT_LITTLE, whole


def deflate_bomb(chance: random.Random) -> Made:
    """One to a thousand."""
    size = chance.randrange(1 << 20, LARGEST_BOMB_BYTES if chance.random() < 0.05 else 1 << 22)
    tag, vr = chance.choice([(BULK, "OB"), (PIXELS, "OW"), (CODE_SEQUENCE, "SQ")])
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(_begun(chance) + explicit(tag, vr, size & ~1)) + packer.compress(bytes(size & ~1)) + packer.flush()
    return DEFLATED, packed[: chance.choice([len(packed), len(packed) // 2])]


def garbage(chance: random.Random) -> Made:
    syntax = chance.choice([EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED])
    return syntax, chance.randbytes(chance.randrange(1, 3000))


def random_elements(chance: random.Random) -> Made:
    elements = bytearray(_begun(chance) if chance.random() < 0.8 else b"")
    for _ in range(chance.randrange(1, 30)):
        value = chance.randbytes(chance.randrange(40))
        length = len(value) if chance.random() < 0.8 else chance.randrange(1 << 16)
        tag = chance.choice([0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0002, 0, 0xFFFE, 0x5200]) << 16 | chance.randrange(
            1 << 16
        )
        elements += explicit(tag, chance.choice(VRS), length, value)
    return EXPLICIT_LITTLE, bytes(elements)


def mutated(chance: random.Random) -> Made:
    """A sound dataset with a few other bytes, cut somewhere, or in another encoding than is said."""
    whole = bytearray(sound(chance))
    for _ in range(chance.randrange(1, 12)):
        whole[chance.randrange(min(len(whole), 1200))] = chance.randrange(256)
    end = len(whole) if chance.random() < 0.6 else chance.randrange(1, len(whole))
    return chance.choice([EXPLICIT_LITTLE, EXPLICIT_LITTLE, IMPLICIT_LITTLE]), bytes(whole[:end])


def odd_identity(chance: random.Random) -> Made:
    """UIDs that are none, are paths, or are too long."""
    value = chance.choice([b"", b"../../x ", b"1" * 66, b"1.2\\3.4 ", b"\xff\xfe\0\x01", b"1..2  "])
    whole = sound(chance)
    place = whole.index(struct.pack("<HH2s", 0x0020, 0x000E, b"UI"))
    length = struct.unpack_from("<H", whole, place + 6)[0]
    return EXPLICIT_LITTLE, whole[:place] + explicit(0x0020000E, "UI", len(value), value) + whole[place + 8 + length :]


HOSTILE: tuple[Callable[[random.Random], Made], ...] = (
    nested_without_end,
    nested_with_lengths,
    endless_items,
    counted_items,
    length_past_the_end,
    value_without_end,
    huge_matrix,
    deflate_bomb,
    garbage,
    random_elements,
    mutated,
    odd_identity,
)
