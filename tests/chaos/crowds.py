"""Peers that are slow or idle, many at a time: a normal sender is unharmed, and when they end all is released."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.chaos.arena import NO_WATERMARKS, Arena, Outcome, arena
from tests.chaos.journal import NO_ANSWER, SUCCESS
from tests.chaos.senders import CONTEXT_IDS, CONTEXTS
from tests.chaos.studies import series
from tests.chaos.victim import Usage
from tests.chaos.wire import (
    COMMAND,
    CT,
    EXPLICIT_LITTLE,
    FRAGMENT_BYTES,
    LAST,
    P_DATA,
    VERIFICATION,
    Connection,
    Gone,
    associate_rq,
    c_store_rq,
    p_data,
    pdu,
)
from tests.pacs_servers import wait_until

TIMEOUTS = "acse_timeout_s = 2\nnetwork_timeout_s = 2\nmax_instance_s = 4\n"
CLOSED_S, RELEASED_S = 60.0, 60.0
DRIP_S = 0.1
NORMAL = 24
SLOWEST_S = 5.0  # for one small instance, on a busy machine; a peer that blocks others blocks them for good
SPARE_DESCRIPTORS, SPARE_THREADS = 12, 6
LARGEST_ASSOCIATION_MIB = 20.0
IDLE_CONTEXTS = (*CONTEXTS, (VERIFICATION, (EXPLICIT_LITTLE,)))
ECHO_ID = 5


class Slow:
    """A peer that says something, and then one byte after the other, or nothing."""

    def __init__(self, connection: Connection, said: bytes, drip: Iterator[bytes] | None) -> None:
        self.connection = connection
        self._drip = drip
        connection.send(said)
        connection.socket.setblocking(False)

    def go_on(self) -> None:
        if self._drip is not None:
            try:
                self.connection.socket.sendall(next(self._drip, b""))
            except OSError:
                self._drip = None

    def is_closed(self) -> bool:
        """Whether the node has ended the connection."""
        try:
            while self.connection.socket.recv(4096):
                pass
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


def slow_peers(address: tuple[str, int]) -> dict[str, Callable[[], Slow]]:
    """How to be slow."""
    request = associate_rq("DICOM-NODE", "SLOW", CONTEXTS * 50)
    store = p_data(1, COMMAND | LAST, c_store_rq(CT, "1.2.3", 1))

    def connected() -> Connection:
        return Connection.open(address)

    def associated() -> Connection:
        return connected().associate("DICOM-NODE", "SLOW", CONTEXTS)

    def bytes_of(content: bytes) -> Iterator[bytes]:
        return (content[n : n + 1] for n in range(len(content)))

    def bytes_in_pdus() -> Iterator[bytes]:
        return (p_data(1, 0, b"x") for _ in range(1 << 20))

    announced = pdu(P_DATA, bytes(16_000))[:6] + (15_996).to_bytes(4, "big") + b"\x01\x00"
    return {
        "silent": lambda: Slow(connected(), b"", None),
        "half a request": lambda: Slow(connected(), request[: len(request) // 2], None),
        "request byte by byte": lambda: Slow(connected(), b"", bytes_of(request[:-1])),
        "half a PDU header": lambda: Slow(associated(), b"\x04\x00\x00", None),
        "a PDU header": lambda: Slow(associated(), announced[:6], None),
        "a command, no data": lambda: Slow(associated(), store, None),
        "data byte by byte": lambda: Slow(associated(), store + announced, bytes_of(bytes(15_000))),
        "data in tiny PDUs": lambda: Slow(associated(), store, bytes_in_pdus()),
    }


def slow_loris(directory: Path, seed: int, rounds: int) -> Outcome:
    """So many peers of each way to be slow; all of them are cut off in time, and a normal sender hardly notices."""
    with arena(directory, seed, receive_only=True, receive=NO_WATERMARKS + TIMEOUTS) as made:
        alone_s = _store_some(made, "1")
        before = made.victim.usage()
        kinds = slow_peers(made.victim.address)
        peers = [(kind, start()) for kind, start in kinds.items() for _ in range(rounds)]
        with _dripping([peer for _, peer in peers]), ExitStack() as closing:
            for _, peer in peers:
                closing.callback(peer.connection.socket.close)
            beside_s = _store_some(made, "2")
            _wait_closed(peers)
        after = _wait_released(made, before)
        made.require_settled()
        return made.outcome(
            "slow loris",
            f"{len(peers)} slow peers",
            f"median store {1000 * alone_s:.1f} ms alone, {1000 * beside_s:.1f} ms beside them",
            _compared(before, after),
        )


def _wait_closed(peers: list[tuple[str, Slow]]) -> None:
    left = list(peers)

    def all_closed() -> bool:
        left[:] = [(kind, peer) for kind, peer in left if not peer.is_closed()]
        return not left

    try:
        wait_until(all_closed, "the node ends slow connections", CLOSED_S)
    except TimeoutError as error:
        raise AssertionError(f"never cut off: {sorted({kind for kind, _ in left})}") from error


@contextmanager
def _dripping(peers: list[Slow]) -> Iterator[None]:
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(DRIP_S):
            for peer in peers:
                peer.go_on()

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def idle(directory: Path, seed: int, rounds: int) -> Outcome:
    """So many associations that say nothing, twice; a normal sender is unharmed, and the second crowd costs no more."""
    with arena(directory, seed, receive_only=True) as made:
        alone_s = _store_some(made, "1")
        before = made.victim.usage()
        crowds = [_crowd(made, name, rounds, before) for name in ("2", "3")]
        (first, beside_s), (second, _) = crowds
        each_mib = (first.rss_mib - before.rss_mib) / rounds
        assert each_mib < LARGEST_ASSOCIATION_MIB, f"{each_mib:.1f} MiB for an idle association"
        assert second.rss_mib < 1.25 * first.rss_mib + 10, f"memory grows: {first.rss_mib:.0f}, {second.rss_mib:.0f} MiB"
        made.require_settled()
        return made.outcome(
            "idle associations",
            f"2 × {rounds} at a time",
            f"median store {1000 * alone_s:.1f} ms alone, {1000 * beside_s:.1f} ms beside them",
            f"each {1024 * each_mib:.0f} KiB, {(first.threads - before.threads) / rounds:.2f} threads, "
            f"{(first.descriptors - before.descriptors) / rounds:.2f} descriptors",
            _compared(before, made.victim.usage()),
        )


def _crowd(made: Arena, name: str, count: int, before: Usage) -> tuple[Usage, float]:
    """What the node uses with so many idle associations, and how long a normal store takes then."""
    with ExitStack() as stack:
        opened = [stack.enter_context(Connection.open(made.victim.address)) for _ in range(count)]
        for connection in opened:
            connection.associate("DICOM-NODE", "IDLE", IDLE_CONTEXTS)
        beside_s = _store_some(made, name)
        using = made.victim.usage()
        for number, connection in enumerate(opened):
            assert connection.echo(ECHO_ID) == SUCCESS
            if number % 2:
                connection.release()
    _wait_released(made, before)
    return using, beside_s


def _store_some(made: Arena, name: str) -> float:
    """A normal sender; the median time of a store, in seconds."""
    taken = []
    with Connection.open(made.victim.address) as connection:
        connection.associate("DICOM-NODE", "NORMAL", CONTEXTS)
        for outgoing in series(f"{made.seed % 10**9}.{name}", NORMAL, with_job=False):
            dataset, status, begun = outgoing.dataset(), NO_ANSWER, time.monotonic()
            made.journal.begin(outgoing, dataset)
            try:
                context_id = CONTEXT_IDS[outgoing.sop_class_uid]
                status = connection.store(
                    context_id, outgoing.sop_class_uid, outgoing.sop_instance_uid, dataset, FRAGMENT_BYTES
                )
            except Gone as gone:
                raise AssertionError(f"a normal sender was cut off: {gone}") from gone
            finally:
                made.journal.end(outgoing, status)
            taken.append(time.monotonic() - begun)
            assert status == SUCCESS, f"a normal sender heard {status:04X}H"
        connection.release()
    assert max(taken) < SLOWEST_S, f"a store took {max(taken):.1f} s"
    return statistics.median(taken)


def _wait_released(made: Arena, before: Usage) -> Usage:
    """Wait until threads and descriptors are as before."""

    def is_released() -> bool:
        now = made.victim.usage()
        return now.threads <= before.threads + SPARE_THREADS and now.descriptors <= before.descriptors + SPARE_DESCRIPTORS

    try:
        wait_until(is_released, "released", RELEASED_S)
    except TimeoutError as error:
        raise AssertionError(f"not released: {_compared(before, made.victim.usage())}") from error
    return made.victim.usage()


def _compared(before: Usage, after: Usage) -> str:
    return (
        f"before and after: {before.rss_mib:.0f} → {after.rss_mib:.0f} MiB, {before.threads} → {after.threads} threads, "
        f"{before.descriptors} → {after.descriptors} descriptors"
    )
