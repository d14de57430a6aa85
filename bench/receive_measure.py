"""One measurement: a receiver is started, warmed up, sent to, stopped, and what it holds is compared with what was sent."""

import contextlib
import json
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.receive_cases import STOCK, Case
from bench.receive_compare import Comparison, compare
from bench.receive_peers import PEERS, REPOSITORY, Peer, Place, discard, free_port, running, wait_for_rows
from bench.receive_process import PeakMemory, ProcessTree
from bench.receive_samples import Sample, read_index
from bench.receive_senders import CALLED, HOST

SENDER_DEADLINE_S = 300.0
LARGEST_TOUCHED_BYTES = 3 << 30


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one receiver did in one round.

    Attributes:
        per_s: instances acknowledged in a second.
        cpu_ms: CPU time of the receiver for an instance, until the last was acknowledged.
        cpu_indexed_ms: the same until it had indexed them all; a receiver without an index has nothing left to do.
        indexed_per_s: instances with a row in the ledger in a second.
        idle_mb, peak_mb: memory before the associations were opened, after the warm-up; and at most.
        growth_mb: what each association added to it.
        p50_ms, p99_ms: until an instance was acknowledged; 0 with stock senders.
        identical, equal: files with the bytes that were sent, and with the same values otherwise encoded.
    """

    per_s: float
    cpu_ms: float
    cpu_indexed_ms: float
    indexed_per_s: float
    idle_mb: float
    peak_mb: float
    growth_mb: float
    p50_ms: float
    p99_ms: float
    identical: int = 0
    equal: int = 0


class SenderFailed(Exception):
    """A sender ended early, or was not told that everything was stored."""


def measure(case: Case, folder: Path, data: Path) -> Measurement:
    """Run the case in a new folder; its files are emptied afterwards.

    Raises:
        Mismatch: a received file is not what was sent.
        SenderFailed, ReceiverFailed: nothing could be measured.
    """
    peer = PEERS[case.receiver]
    case = replace(case, associations=min(case.associations, peer.most_associations))
    place = Place(folder.absolute(), free_port(), case.associations, compressed="jpeg" in case.data)
    try:
        measured = _loop(peer, place, case, data) if peer.sends == "none" else _receiver(peer, place, case, data)
        compared = _compared(peer, place, case, data)
    finally:
        discard(folder / peer.files)
        os.sync()  # nothing of this one is written back while the next is measured
    return replace(measured, identical=compared.identical, equal=compared.equal)


def _compared(peer: Peer, place: Place, case: Case, data: Path) -> Comparison:
    sent = [*read_index(data / case.warm)[: case.associations], *_measured(case, data)]
    return compare(place.folder / peer.files, sent, exact=peer.exact, raw=peer.sends != "dicom")


def _measured(case: Case, data: Path) -> list[Sample]:
    return read_index(data / case.data)[case.first :][: case.count]


def _receiver(peer: Peer, place: Place, case: Case, data: Path) -> Measurement:
    kind = "raw" if peer.sends == "raw" else "dicom"
    count = 0 if case.sender == STOCK else case.count
    numbers = (str(case.associations), str(data / case.data), str(case.first), str(count))
    command = [sys.executable, "-m", "bench.receive_senders", kind, str(place.port), *numbers, "--warm", str(data / case.warm)]
    index = partial(wait_for_rows, place, case.associations + case.count) if peer.is_node else None
    with running(peer, place) as tree, _stepping(command) as sender:
        sender.expect("WARM")
        if case.sender == STOCK:
            commands = _storescu_commands(place, _measured(case, data))
            return _watched(tree, case, _touch_memory, partial(_stock, commands, case.count), index)
        return _watched(tree, case, sender.connect, sender.answer, index)


def _loop(peer: Peer, place: Place, case: Case, data: Path) -> Measurement:
    (place.folder / peer.files).mkdir(parents=True)
    command = [*peer.command(place), str(data / case.data), str(case.associations), str(case.count)]
    with _stepping(command) as loop:
        loop.expect("WARM")
        return _watched(ProcessTree(loop.pid), case, loop.connect, loop.answer)


def _watched(
    tree: ProcessTree,
    case: Case,
    connect: Callable[[], None],
    send: Callable[[], dict[str, Any]],
    wait_for_index: Callable[[], None] | None = None,
) -> Measurement:
    tree.wait_until_quiet()
    idle_mb = tree.pss_mb()
    with PeakMemory(tree) as peak:
        connect()
        cpu_s, begun = tree.cpu_s(), time.perf_counter()
        answer = send()
        cpu_acknowledged_s = cpu_indexed_s = tree.cpu_s()
        if wait_for_index:
            wait_for_index()
            cpu_indexed_s = tree.cpu_s()
        indexed_s = time.perf_counter() - begun
    if answer["stored"] != case.count:
        raise SenderFailed(f"{case.name}: {answer['stored']} of {case.count} were acknowledged as stored")
    return Measurement(
        per_s=case.count / answer["seconds"],
        cpu_ms=(cpu_acknowledged_s - cpu_s) / case.count * 1000,
        cpu_indexed_ms=(cpu_indexed_s - cpu_s) / case.count * 1000,
        indexed_per_s=case.count / indexed_s,
        idle_mb=idle_mb,
        peak_mb=peak.mb,
        growth_mb=max(0.0, peak.mb - idle_mb) / case.associations,
        p50_ms=answer["p50_ms"],
        p99_ms=answer["p99_ms"],
    )


class Stepping:
    """A sender, or a loop in place of one, that waits for a line before each of its steps."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self._process = process

    def expect(self, step: str) -> None:
        """Wait until it says that it has finished the step.

        Raises:
            SenderFailed: it says something else, or has ended.
        """
        said = self._line()
        if said != step:
            raise SenderFailed(f"the sender says {said!r} in place of {step}")

    def connect(self) -> None:
        self._go_on()
        self.expect("READY")
        _touch_memory()

    def answer(self) -> dict[str, Any]:
        """Let it send, and wait for what it measured."""
        self._go_on()
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def release(self) -> None:
        """Let it end; after a failure it may have done so."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate("\n", timeout=SENDER_DEADLINE_S)

    def _go_on(self) -> None:
        if self._process.stdin:
            self._process.stdin.write("\n")
            self._process.stdin.flush()

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SenderFailed(f"the sender ended with status {self._process.wait()}")
        return line.strip()


@contextmanager
def _stepping(command: list[str]) -> Iterator[Stepping]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    watchdog = threading.Timer(SENDER_DEADLINE_S, process.kill)
    watchdog.start()
    try:
        sender = Stepping(process)
        yield sender
        sender.release()
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


def _storescu_commands(place: Place, samples: Sequence[Sample]) -> list[list[str]]:
    """A stock storescu for each association, as it is shipped."""
    syntaxes = ["-xt"] if place.compressed else []
    start = ["storescu", "-R", *syntaxes, "-aec", CALLED.decode(), HOST, str(place.port)]
    return [[*start, *(s.path for s in samples[index :: place.associations])] for index in range(place.associations)]


def _stock(commands: list[list[str]], count: int) -> dict[str, Any]:
    """Run them at once; their start belongs to the time, as it does for who uses them."""
    begun = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    senders = [subprocess.Popen(c, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for c in commands]
    outputs = [sender.communicate(timeout=SENDER_DEADLINE_S)[0] for sender in senders]
    seconds = time.perf_counter() - begun
    failed = [output for sender, output in zip(senders, outputs, strict=True) if sender.returncode]
    if failed:
        raise SenderFailed(f"storescu failed: {failed[0][-1000:].decode(errors='replace')}")
    return {"seconds": seconds, "stored": count, "p50_ms": 0.0, "p99_ms": 0.0}


def _touch_memory() -> None:
    """Have the machine's memory at hand: under a hypervisor the first touch of a page that was given back is slow."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    size = min(LARGEST_TOUCHED_BYTES, available // 4)
    mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()
