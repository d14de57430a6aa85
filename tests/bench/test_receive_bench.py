import json
import os
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread

from bench.receive import Benchmark
from bench.receive_cases import Case, all_cases, needed, quick_cases
from bench.receive_compare import Comparison, Mismatch, compare
from bench.receive_data import make_data
from bench.receive_measure import Measurement
from bench.receive_peers import PEERS
from bench.receive_process import ProcessTree
from bench.receive_ratios import Ratio, ratios
from bench.receive_samples import Sample, read_index
from bench.receive_tables import as_text, draw

BARE = "write, fsync, rename"


@pytest.fixture
def sent(tmp_path: Path) -> list[Sample]:
    make_data(tmp_path / "data", {"mr": 3})
    return read_index(tmp_path / "data" / "mr")


@pytest.fixture
def received(tmp_path: Path, sent: list[Sample]) -> Path:
    folder = tmp_path / "received" / "deeper"
    folder.mkdir(parents=True)
    for number, sample in enumerate(sent):
        shutil.copy(sample.path, folder / f"{number}")
    (folder / "index").write_bytes(b"the receiver's own")
    return folder.parent


def test_the_node_and_the_bare_loop_are_measured_and_compared(tmp_path: Path) -> None:
    cases = [Case(receiver, "mr", "fast", 4, 8) for receiver in ("node", BARE)]
    benchmark = Benchmark(cases, tmp_path)
    (found,) = benchmark.run(1)
    assert not benchmark.failures
    assert [case["files_identical"] for case in found["cases"].values()] == [12, 12], "four of them were the warm-up"
    (ratio,) = [ratio for ratio in found["ratios"] if BARE in ratio["name"]]
    rates = [case["per_s"]["median"] for case in found["cases"].values()]
    assert ratio["median"] == pytest.approx(rates[0] / rates[1], rel=0.02)
    assert found["cases"]["node | mr fast x4"]["cpu_indexed_ms"]["median"] > 0
    assert "node / write, fsync, rename" in as_text(found)
    draw(found, tmp_path / "receive.png")
    assert json.loads(json.dumps(found)) == found


def test_what_was_sent_is_recognised(received: Path, sent: list[Sample]) -> None:
    assert compare(received, sent, exact=True) == Comparison(identical=3, equal=0)


def test_a_tampered_file_is_noticed(received: Path, sent: list[Sample]) -> None:
    path = received / "deeper" / "1"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)
    for exact in (True, False):
        with pytest.raises(Mismatch, match="deeper/1"):
            compare(received, sent, exact=exact)


def test_another_encoding_of_the_same_values_will_do_where_bytes_are_not_promised(received: Path, sent: list[Sample]) -> None:
    path = received / "deeper" / "2"
    dataset = dcmread(path)
    dataset["SourceImageSequence"].is_undefined_length = True
    dataset.save_as(path)
    assert compare(received, sent, exact=False) == Comparison(identical=2, equal=1)
    with pytest.raises(Mismatch, match="bytes"):
        compare(received, sent, exact=True)


def test_a_missing_and_a_doubled_file_are_noticed(received: Path, sent: list[Sample]) -> None:
    shutil.copy(received / "deeper" / "0", received / "again")
    with pytest.raises(Mismatch, match="twice"):
        compare(received, sent, exact=True)
    (received / "again").unlink()
    (received / "deeper" / "0").unlink()
    with pytest.raises(Mismatch, match="1 of 3"):
        compare(received, sent, exact=True)


def test_a_failure_is_kept_and_the_others_go_on(tmp_path: Path) -> None:
    benchmark = Benchmark([Case(receiver, "mr", "fast", 1, 2) for receiver in ("node", BARE)], tmp_path)
    for number in (1, 2):
        (tmp_path / "round-1" / f"{number}").mkdir(parents=True)  # the node's must be new
    (found,) = benchmark.run(1)
    (failure,) = found["failures"]
    assert failure.startswith("node | mr fast x1")
    assert [*found["cases"]] == [f"{BARE} | mr fast x1"]


def test_every_ratio_is_of_cases_that_are_measured() -> None:
    names = {case.name for case in all_cases()}
    asked = {f"{name} | {ratio.load}" for ratio in ratios() for name in (ratio.above, ratio.below) if name}
    assert asked <= names


def test_every_case_has_a_receiver_and_a_name_of_its_own() -> None:
    for cases in (all_cases(), quick_cases()):
        assert len({case.name for case in cases}) == len(cases)
        assert {case.receiver for case in cases} <= PEERS.keys()
        assert all(needed(cases)[case.data] >= case.first + case.count for case in cases)


def test_a_ratio_is_of_the_same_round() -> None:
    one, two = _rate(10), _rate(40)
    ratio = Ratio("ct fast x1", "node", BARE, at_least=0.8)
    runs = {"node | ct fast x1": {0: one, 1: two}, f"{BARE} | ct fast x1": {1: one, 2: one}}
    assert ratio.per_round(runs) == [4.0]
    assert (ratio.reached(0.8), ratio.reached(0.7), ratio.target) == (True, False, "≥ 0.8")


def test_time_and_memory_of_a_process_are_read() -> None:
    tree = ProcessTree(os.getpid())
    assert tree.cpu_s() > 0
    assert tree.pss_mb() > 10


def _rate(per_s: float) -> Measurement:
    return Measurement(per_s, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
