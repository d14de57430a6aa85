"""Datasets that mean harm: their header is read or refused with a reason, within bounds; engines read or refuse them, too."""

import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from dicom_node.bounded_file import MOST_INFLATED_BYTES, BoundedFile
from dicom_node.errors import UnreadableInstanceError
from dicom_node.headers import LONGEST_SEQUENCE_BYTES, MOST_ITEMS, read_instance
from dicom_node.receive.part10 import StoreRequest, head
from engine.api import Refusal
from engine.reading import read_series, source
from tests.chaos.studies import series
from tests.chaos.wire import CT, DEFLATED, EXPLICIT_LITTLE
from tests.hostile.datasets import (
    BULK,
    CODE_SEQUENCE,
    HOSTILE,
    ITEM,
    PIXELS,
    UNDEFINED,
    Made,
    delimiter,
    explicit,
    huge_matrix,
    sound,
)
from tests.real_data import RealData

MEBIBYTE = 1 << 20
BOMB_BYTES = 250 * MEBIBYTE
Maker = Callable[[random.Random], Made]


def written(path: Path, syntax: str, dataset: bytes, sop_instance_uid: str = "") -> Path:
    path.write_bytes(head(StoreRequest(CT, sop_instance_uid, syntax)) + dataset)
    return path


def outcome(path: Path) -> str:
    """The SOP Instance UID, or the reason of the refusal."""
    try:
        return read_instance(path, received_at=1.0).sop_instance_uid
    except UnreadableInstanceError as error:
        return str(error)


def engine_outcome(*paths: Path) -> str:
    """What the engines' reader says of it."""
    try:
        return "a volume" if read_series(paths) else ""
    except Refusal as refusal:
        return str(refusal)


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
@settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(seed=st.integers(0, 1 << 32))
def test_a_hostile_dataset_is_indexed_or_refused_with_a_reason(make: Maker, seed: int, tmp_path: Path) -> None:
    path = written(tmp_path / "hostile.dcm", *make(random.Random(seed)))
    assert outcome(path)
    assert engine_outcome(path, path)


def deflated(*parts: bytes | int) -> bytes:
    """Bytes, and numbers of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = b""
    for part in parts:
        for begin in range(0, part if isinstance(part, int) else 1, MEBIBYTE):
            packed += packer.compress(bytes(min(MEBIBYTE, part - begin)) if isinstance(part, int) else part)
    return packed + packer.flush()


def peak_mib(path: Path) -> tuple[str, float]:
    """The outcome, and the most memory that Python's allocator held for it."""
    tracemalloc.start()
    try:
        return outcome(path), tracemalloc.get_traced_memory()[1] / MEBIBYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("tag", [BULK, PIXELS])
def test_a_deflate_bomb_is_not_inflated(tmp_path: Path, tag: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before, _, behind = sound(random.Random(1)).partition(struct.pack("<HH2s", 0x0009, 0x0010, b"LO"))
    image = behind[
        behind.index(struct.pack("<HH2s", 0x0018, 0x0050, b"DS")) : behind.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OW"))
    ]
    rest = struct.pack("<HH2s", 0x0009, 0x0010, b"LO") + b"\2\0AB" if tag == BULK else image
    path = written(tmp_path / "bomb.dcm", DEFLATED, deflated(before + rest + explicit(tag, "OB", BOMB_BYTES), BOMB_BYTES))
    assert path.stat().st_size < MEBIBYTE
    said, mib = peak_mib(path)
    assert mib < 3.5 * MOST_INFLATED_BYTES / MEBIBYTE
    assert said.startswith("1.2.826") if tag == PIXELS else "too long" in said or "missing" in said
    monkeypatch.setattr(source, "MAXIMUM_INFLATED_BYTES", BOMB_BYTES // 2)
    assert "when it is inflated" in engine_outcome(path)


def test_a_deflated_instance_with_large_pixels_is_indexed(tmp_path: Path) -> None:
    path = written(tmp_path / "sound.dcm", DEFLATED, deflated(sound(random.Random(2))))
    assert outcome(path).startswith("1.2.826")


def test_a_sequence_of_very_many_empty_items_is_refused(tmp_path: Path) -> None:
    before, tag, behind = sound(random.Random(3)).partition(struct.pack("<HH2s", 0x0008, 0x103E, b"LO"))
    items = delimiter(ITEM) * (MOST_ITEMS + 1)
    counted = before + explicit(CODE_SEQUENCE, "SQ", len(items), items) + tag + behind
    assert "too many items" in outcome(written(tmp_path / "items.dcm", EXPLICIT_LITTLE, counted))


def test_a_file_of_too_many_elements_or_bytes_is_refused_where_it_becomes_too_much() -> None:
    endless = BytesIO(explicit(CODE_SEQUENCE, "SQ", UNDEFINED) + delimiter(ITEM) * 1000)
    with pytest.raises(UnreadableInstanceError, match="too many elements"):
        dcmread(BoundedFile(endless, most_reads=500), force=True)
    with pytest.raises(UnreadableInstanceError, match="too long"):
        BoundedFile(BytesIO(b"abc"), most_bytes=2).read(3)


def test_a_sequence_that_claims_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    whole = sound(random.Random(4))
    begun = whole[: whole.index(struct.pack("<HH2s", 0x0009, 0x0010, b"LO"))]
    claimed = begun + explicit(CODE_SEQUENCE, "SQ", LONGEST_SEQUENCE_BYTES + 2, b"\0" * 100)
    said, mib = peak_mib(written(tmp_path / "claims.dcm", EXPLICIT_LITTLE, claimed))
    assert not said.startswith("1.2.826")
    assert mib < LONGEST_SEQUENCE_BYTES / MEBIBYTE


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_a_matrix_of_65535_squared_is_refused_before_it_is_allocated(seed: int, tmp_path: Path) -> None:
    path = written(tmp_path / "huge.dcm", *huge_matrix(random.Random(seed)))
    assert outcome(path).startswith("1.2.826")
    tracemalloc.start()
    try:
        with pytest.raises(Refusal, match="65535 rows"):
            read_series([path])
        assert tracemalloc.get_traced_memory()[1] < 16 * MEBIBYTE
    finally:
        tracemalloc.stop()


def test_bytes_behind_the_dataset_and_a_cut_dataset_are_no_crash(tmp_path: Path) -> None:
    outgoing = series("7.1", 1, with_job=True)[0]
    for size in range(0, 900, 7):
        path = written(tmp_path / "cut.dcm", EXPLICIT_LITTLE, outgoing.dataset()[:size], outgoing.sop_instance_uid)
        assert outcome(path)


def test_every_public_broken_file_is_read_or_refused_by_header_and_by_engine(odd_files: Path, real_data: RealData) -> None:
    for path in sorted(path for path in odd_files.rglob("*") if path.is_file()):
        assert outcome(path)
        assert engine_outcome(path)
