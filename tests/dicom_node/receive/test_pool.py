"""Several receiving processes on one port: real workers, killed, limited, congested, drained."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dicom_node.errors import TransientError
from dicom_node.node.receiving import WORKER
from dicom_node.receive import CommitmentReport, ReceiverSettings, Spool
from dicom_node.receive import pool as pool_module
from dicom_node.receive.messages import Orders, Stop
from dicom_node.receive.pool import ReceiverPool
from tests.chaos.victim import children, is_running
from tests.chaos.wire import COMMAND, CT, EXPLICIT_LITTLE, LAST, VERIFICATION, Connection, Gone, c_store_rq, p_data
from tests.dicom_node.receive.client import UID_ROOT, commitment_information, report
from tests.dicom_node.receive.conftest import NO_WATERMARKS
from tests.pacs_servers import Server, free_port, wait_until

STORING = ((CT, (EXPLICIT_LITTLE,)), (VERIFICATION, (EXPLICIT_LITTLE,)))
ECHOING = ((VERIFICATION, (EXPLICIT_LITTLE,)),)
INSTANCE = UID_ROOT + "6"
DATASET = bytes(range(256)) * 100
LOCAL_LIMIT, CONGESTION = "rejected (2, 3, 2)", "rejected (2, 3, 1)"
StartPool = Callable[..., ReceiverPool]
Associate = Callable[[ReceiverPool], Connection]


@pytest.fixture
def start_pool(spool: Spool) -> Iterator[StartPool]:
    """Starts pools on the test's spool; keywords are settings, and what a pool is made of."""
    running: list[ReceiverPool] = []

    def start(
        count: int = 2, on_stored: Any = lambda stored: None, on_commitment: Any = None, program: Any = WORKER, **settings: Any
    ) -> ReceiverPool:
        told: Any = {"ae_title": "NODE", "host": "127.0.0.1", "port": 0, "watermarks": NO_WATERMARKS, **settings}
        orders = Orders(ReceiverSettings(**told), spool.root, "error", "text", on_commitment is not None)
        pool = ReceiverPool(orders, program, count, on_stored, on_commitment)
        running.append(pool)
        return pool.start()

    yield start
    for pool in running:
        pool.stop()
    wait_until(lambda: not workers(), "all workers end")


@pytest.fixture
def pool(start_pool: StartPool) -> ReceiverPool:
    return start_pool()


def workers(parent: int | None = None) -> set[int]:
    """The receiving processes of a process, of this one if none is named."""
    return {pid for pid in children(parent or os.getpid()) if "receive_worker" in command_of(pid)}


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def opened(pool: ReceiverPool, source: str = "127.0.0.1") -> Connection:
    return Connection(socket.create_connection(pool.address, 30.0, source_address=(source, 0)))


@pytest.fixture
def associate() -> Iterator[Associate]:
    """Opens associations that last until the end of the test."""
    with ExitStack() as open_ones:
        yield lambda pool: open_ones.enter_context(opened(pool)).associate("NODE", "TESTER", STORING)


def refusal(pool: ReceiverPool, contexts: Any = STORING, source: str = "127.0.0.1") -> str:
    """Why no association is to be had; empty if it is."""
    with opened(pool, source) as connection:
        try:
            connection.associate("NODE", "TESTER", contexts).release()
        except Gone as gone:
            return str(gone)
    return ""


def store(connection: Connection, dataset: bytes = DATASET) -> int:
    return connection.store(1, CT, INSTANCE, dataset, 4096)


def is_open(connection: Connection) -> bool:
    try:
        return store(connection) == 0x0000
    except Gone:
        return False


def files(spool: Spool) -> list[Path]:
    return [stored.path for minute in spool.directories() for stored in minute]


def begin(connection: Connection, spool: Spool) -> None:
    """Send a part of an instance, and wait until it is being written."""
    before = len(list(spool.incoming.iterdir()))
    connection.send(p_data(1, COMMAND | LAST, c_store_rq(CT, INSTANCE, 1)) + p_data(1, 0, DATASET))
    wait_until(lambda: len(list(spool.incoming.iterdir())) > before, "an instance is on its way")


def test_every_worker_serves_and_the_parent_is_told_of_every_file(
    start_pool: StartPool, spool: Spool, associate: Associate
) -> None:
    told: list[Any] = []
    pool = start_pool(3, told.append)
    senders = [associate(pool) for _ in range(6)]
    assert len(workers()) == 3
    assert sorted(worker.load for worker in pool._workers) == [2, 2, 2]
    assert [store(sender) for sender in senders * 2] == [0x0000] * 12
    for sender in senders:
        sender.release()
    wait_until(lambda: len(told) == 12, "the parent is told")
    assert {stored.path for stored in told} == set(files(spool))
    assert all(stored.path.stat().st_size == stored.size_bytes for stored in told)
    wait_until(lambda: pool._census.count == 0, "the connections are counted out")
    assert not any(worker.load for worker in pool._workers)


def test_a_killed_worker_is_replaced_and_only_its_associations_end(
    pool: ReceiverPool, spool: Spool, associate: Associate
) -> None:
    senders, before = [associate(pool) for _ in range(4)], workers()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(workers() - {victim}) == 2 and pool._census.count == 2, "another takes its place")
    assert pool.is_listening
    assert workers() & before == before - {victim}
    assert sorted(map(is_open, senders)) == [False, False, True, True]
    wait_until(lambda: all(worker.ready.is_set() for worker in pool._workers), "it serves")
    more = [associate(pool) for _ in range(2)]
    assert all(map(is_open, more))
    assert sorted(worker.load for worker in pool._workers) == [2, 2]
    assert len(files(spool)) == 4


def test_with_every_worker_killed_the_port_stays_and_serves_again(pool: ReceiverPool) -> None:
    before = workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not refusal(pool), "associations are accepted again")
    wait_until(lambda: len(workers()) == 2, "both are replaced")
    assert not workers() & before


def test_what_a_killed_worker_was_writing_is_dropped_as_a_leftover(
    pool: ReceiverPool, spool: Spool, associate: Associate
) -> None:
    senders = [associate(pool) for _ in range(2)]
    for sender in senders:
        begin(sender, spool)
    for pid in workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pool._census.count == 0, "the connections have ended")
    assert len(list(spool.incoming.iterdir())) == 2
    assert spool.drop_leftovers(unchanged_s=600) == 0
    assert spool.drop_leftovers() == 2
    assert not files(spool)


def test_the_limit_of_associations_counts_over_all_workers(start_pool: StartPool, associate: Associate) -> None:
    pool = start_pool(max_associations=3)
    first, *others = [associate(pool) for _ in range(3)]
    assert refusal(pool) == LOCAL_LIMIT
    assert refusal(pool, ECHOING, "127.0.0.2") == LOCAL_LIMIT
    first.release()
    wait_until(lambda: not refusal(pool), "its place is free")
    for other in others:
        assert is_open(other)


def test_the_limit_of_one_address_counts_over_all_workers_and_leaves_room_for_others(
    start_pool: StartPool, associate: Associate
) -> None:
    pool = start_pool(max_associations=5, max_associations_per_peer=2)
    first, second = (associate(pool) for _ in range(2))
    assert refusal(pool) == LOCAL_LIMIT
    assert not refusal(pool, source="127.0.0.2")
    first.abort()
    wait_until(lambda: not refusal(pool), "its place is free")
    assert is_open(second)


def test_connections_far_beyond_the_limit_are_closed_at_once(start_pool: StartPool) -> None:
    pool = start_pool(max_associations=2)
    silent = [socket.create_connection(pool.address) for _ in range(4)]
    wait_until(lambda: pool._census.count == 4, "all are counted")
    with socket.create_connection(pool.address, 30.0) as surplus:
        assert surplus.recv(1) == b""
    for connection in silent:
        connection.close()
    wait_until(lambda: not refusal(pool), "their places are free")


def test_a_worker_that_dies_frees_the_places_of_its_associations(start_pool: StartPool, associate: Associate) -> None:
    pool = start_pool(max_associations=4)
    taken = [associate(pool) for _ in range(4)]
    assert refusal(pool) == LOCAL_LIMIT
    os.kill(min(workers()), signal.SIGKILL)
    wait_until(lambda: pool._census.count == 2, "two places are free")
    wait_until(lambda: all(worker.ready.is_set() for worker in pool._workers), "it is replaced")
    again = [associate(pool) for _ in range(2)]
    assert refusal(pool) == LOCAL_LIMIT
    assert sum(map(is_open, taken)) == 2
    assert all(map(is_open, again))


def settled(pool: ReceiverPool) -> None:
    """Return when the one worker has heeded what it was told: its pipe is in order."""
    assert report(pool.address, commitment_information()) == 0x0000


def test_a_backlog_refuses_stores_with_hysteresis_and_lets_echoes_in(start_pool: StartPool) -> None:
    pool = start_pool(1, on_commitment=lambda kept: None, max_unindexed=10)
    with opened(pool).associate("NODE", "TESTER", STORING) as sender:
        for unindexed, is_taken in [(10, True), (11, False), (9, False), (8, True), (10, True), (11, False), (0, True)]:
            pool.report_congestion(unindexed, has_room=True)
            settled(pool)
            assert store(sender) == (0x0000 if is_taken else 0xA700)
            assert refusal(pool) == ("" if is_taken else CONGESTION)
            assert not refusal(pool, ECHOING)
            assert sender.echo(3) == 0x0000


def test_an_instance_that_had_begun_before_the_congestion_is_kept(start_pool: StartPool, spool: Spool) -> None:
    pool = start_pool(1, on_commitment=lambda kept: None, max_unindexed=10)
    with opened(pool).associate("NODE", "TESTER", STORING) as sender:
        begin(sender, spool)
        pool.report_congestion(11, has_room=True)
        settled(pool)
        sender.message_id = 1
        sender.send(p_data(1, LAST, b"the rest"))
        assert sender.read_status() == 0x0000
    assert len(files(spool)) == 1


def test_a_storage_commitment_report_reaches_the_parent_before_it_is_answered(start_pool: StartPool) -> None:
    kept: list[CommitmentReport] = []
    pool = start_pool(on_commitment=kept.append)
    for count in range(1, 5):
        assert report(pool.address, commitment_information()) == 0x0000
        assert kept == [CommitmentReport(UID_ROOT + "77", ((CT, UID_ROOT + "1"),), ())] * count


def test_a_report_that_the_parent_cannot_keep_is_told_so(start_pool: StartPool) -> None:
    def fail(_: CommitmentReport) -> None:
        raise TransientError("the ledger is locked")

    assert report(start_pool(1, on_commitment=fail).address, commitment_information()) == 0x0110


def test_a_pool_that_hears_no_reports_says_so(pool: ReceiverPool) -> None:
    assert report(pool.address, commitment_information()) == 0x0118


def test_stopping_waits_for_associations_and_ends_the_workers(pool: ReceiverPool, spool: Spool, associate: Associate) -> None:
    senders, address = [associate(pool) for _ in range(3)], pool.address
    stopping = threading.Thread(target=pool.stop, args=(30.0,))
    stopping.start()
    wait_until(lambda: not pool.is_listening, "listening to end")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    for sender in senders:
        assert store(sender) == 0x0000
        sender.release()
    stopping.join(30)
    assert not stopping.is_alive()
    assert not workers()
    assert len(files(spool)) == 3


def test_stopping_does_not_wait_for_ever_and_leaves_nothing_unfinished(
    pool: ReceiverPool, spool: Spool, associate: Associate
) -> None:
    sender = associate(pool)
    begin(sender, spool)
    pool.stop(0.1)
    assert not workers()
    assert not is_open(sender)
    assert not list(spool.incoming.iterdir())


def test_a_killed_parent_takes_its_workers_along(spool: Spool, tmp_path: Path) -> None:
    port = free_port()
    program = [sys.executable, "-m", "tests.dicom_node.receive.pool_program", str(spool.root), str(port)]
    root = str(Path(__file__).parents[3])
    server = Server(program, [port], tmp_path / "pool.log", {"PYTHONPATH": root}).start()
    assert server.process is not None
    parent = server.process.pid
    wait_until(lambda: len(workers(parent)) == 2, "both workers run")
    orphans = workers(parent)
    with Connection.open(("127.0.0.1", port)).associate("NODE", "TESTER", STORING) as sender:
        assert store(sender) == 0x0000
        server.stop(signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, orphans)), "they end")
        assert not is_open(sender)
    assert len(files(spool)) == 1
    assert "Traceback" not in (tmp_path / "pool.log").read_text()


@pytest.mark.parametrize("program", ["false", "no-such-program"])
def test_workers_that_do_not_start_are_tried_again_and_said(
    start_pool: StartPool, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """The second as when the system has no process to spare for a moment."""
    monkeypatch.setattr(pool_module, "START_S", 0.5)
    with pytest.raises(TransientError, match="did not start"), capture_logs() as logged:
        start_pool(1, program=(program,))
    assert sum("starting another" in line["event"] for line in logged) > 1


def test_a_worker_whose_first_word_is_to_stop_stops(spool: Spool) -> None:
    orders = Orders(ReceiverSettings("NODE"), spool.root, "error", "text", hears_commitments=False)
    for _ in range(5):
        with ExitStack() as ends:
            ours, theirs = (ends.enter_context(end) for end in Pipe())
            passing, taking = (ends.enter_context(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            ours.send(orders)
            ours.send(Stop(0.0))
            descriptors = (theirs.fileno(), taking.fileno())
            process = subprocess.Popen([*WORKER, *map(str, descriptors)], pass_fds=descriptors)
            assert passing.fileno() >= 0
            try:
                assert process.wait(20) == 0
            finally:
                process.kill()


@pytest.mark.parametrize("others_start", [False, True])
def test_stopping_while_workers_are_replaced_leaves_none(pool: ReceiverPool, others_start: bool) -> None:
    first = workers()
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not workers() & first and (bool(workers()) or not others_start), "the first are gone")
    pool.stop()
    assert not workers()


def test_a_frozen_worker_freezes_nobody_else(pool: ReceiverPool) -> None:
    frozen = min(workers())
    os.kill(frozen, signal.SIGSTOP)
    try:
        for _ in range(400):  # more than its pipe holds
            pool.report_congestion(0, has_room=True)
            if any(worker._frozen_since for worker in pool._workers):
                break
        assert any(worker._frozen_since for worker in pool._workers)
        served = 0
        with Connection.open(pool.address, timeout_s=3.0) as one, Connection.open(pool.address, timeout_s=3.0) as other:
            for sender in (one, other):  # each worker is given one
                with suppress(Gone):
                    sender.associate("NODE", "TESTER", STORING)
                    served += 1
        assert served == 1
        assert pool.is_listening
    finally:
        os.kill(frozen, signal.SIGCONT)
