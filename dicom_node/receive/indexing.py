"""From the spool into the ledger, in batches, off the acknowledgement's path.

Nothing here can stop or slow C-STORE: a full queue, a locked or broken ledger only mean that files wait in the spool, until a
sweep adopts them.
"""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

import structlog

from dicom_node.errors import NodeError, UnreadableInstanceError
from dicom_node.model import Instance
from dicom_node.receive.spool import Spool, StoredFile

log = structlog.get_logger()

BATCH_SIZE = 256
BATCH_WAIT_S = 0.2
QUEUE_SIZE = 20_000
NICENESS = 5  # a row can wait, a sender cannot
FULL_SWEEP_S = 3600.0
RETRY_FIRST_S, RETRY_CAP_S = 0.1, 30.0

ReadInstance = Callable[[Path], Instance]
"""Reads a header; raises UnreadableInstanceError for what is no instance."""


class Conflict(Protocol):
    """An instance whose UID is taken by other content; its file stays where it is, and the ledger says so."""

    @property
    def instance(self) -> Instance: ...

    @property
    def reason(self) -> str: ...


class AddReport(Protocol):
    """What the ledger says of a batch."""

    @property
    def conflicts(self) -> Sequence[Conflict]:
        """In quarantine."""
        ...

    @property
    def duplicates(self) -> Sequence[Instance]:
        """Identical second copies that nothing refers to: their files may go."""
        ...


class InstanceLedger(Protocol):
    """The index of the spool, as far as receiving needs it."""

    def add(self, instances: Sequence[Instance]) -> AddReport:
        """Index a batch; what contradicts an earlier instance is quarantined there. Raises a NodeError if it cannot now."""
        ...

    def known_paths(self) -> Collection[Path]:
        """All files that have a row, those in quarantine too."""
        ...

    def quarantine(self, path: Path, reason: str, at: float) -> None:
        """Remember a file that is no instance."""
        ...


class Indexer:
    """A thread that gives every file of the spool its row in the ledger.

    Args:
        spool: where the files are.
        ledger: where the rows go.
        read_instance: reads a file's header.
    """

    def __init__(self, spool: Spool, ledger: InstanceLedger, read_instance: ReadInstance, queue_size: int = QUEUE_SIZE) -> None:
        self._spool = spool
        self._ledger = ledger
        self._read_instance = read_instance
        self._queue: queue.Queue[StoredFile] = queue.Queue(queue_size)
        self._sweep_wanted = threading.Event()
        self._stopping = threading.Event()
        self._swept_at = -FULL_SWEEP_S
        self._missed = False
        self._unswept = 0
        self._started = False
        self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)

    def start(self) -> Self:
        """Begin, with a sweep over what an earlier run left without a row."""
        self._sweep_wanted.set()
        self._thread.start()
        return self

    def offer(self, stored: StoredFile) -> None:
        """Index a file soon. Never blocks, never raises: if the queue is full, a sweep finds the file."""
        try:
            self._queue.put_nowait(stored)
        except queue.Full:
            self._sweep_wanted.set()

    def sweep_soon(self) -> None:
        """Adopt files without a row: some may not have been offered, as the process that stored them died."""
        self._sweep_wanted.set()

    def request_sweep(self) -> None:
        """To be called now and then: adopts files without a row, if any may have been left out, else every hour to be sure."""
        if self._missed or time.monotonic() - self._swept_at > FULL_SWEEP_S:
            self._sweep_wanted.set()

    @property
    def backlog(self) -> int:
        """How many files wait for their row."""
        return self._queue.qsize() + self._unswept

    def stop(self, drain_s: float = 5.0) -> None:
        """Index what waits, for so long; the next start adopts the rest."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(drain_s)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # not allowed here
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while True:
            batch = self._next_batch()
            if batch:
                self._settle(lambda: self._index(batch))  # noqa: B023  # it runs before the next turn
            elif self._stopping.is_set():
                return
            elif self._sweep_wanted.is_set():
                self._sweep_wanted.clear()
                self._settle(self._sweep)

    def _next_batch(self) -> list[StoredFile]:
        """Up to 256 files that come within 200 ms; maybe none."""
        batch: list[StoredFile] = []
        until = time.monotonic() + BATCH_WAIT_S
        with contextlib.suppress(queue.Empty):
            while len(batch) < BATCH_SIZE:
                batch.append(self._queue.get(timeout=max(0.0, until - time.monotonic())))
        return batch

    def _settle(self, action: Callable[[], None]) -> None:
        """Do it; while the ledger cannot, again with growing waits. What fails for another reason waits for the next sweep."""
        wait_s = RETRY_FIRST_S
        while True:
            try:
                action()
            except NodeError as error:
                log.warning("instances not indexed yet", error=str(error), retry_in_s=wait_s)
            except Exception:  # the outcome of indexing is settled here; the files stay in the spool
                log.exception("instances not indexed; the next sweep takes them")
                self._missed = True
                return
            else:
                return
            if self._stopping.wait(wait_s):
                return
            wait_s = min(2 * wait_s, RETRY_CAP_S)

    def _index(self, batch: Iterable[StoredFile]) -> None:
        instances = list(self._read(batch))
        if not instances:
            return
        report = self._ledger.add(instances)
        for copy in report.duplicates:
            self._spool.remove(copy.path)
        for conflict in report.conflicts:
            log.warning("received file quarantined", file=conflict.instance.path.name, reason=conflict.reason)
        log.debug("instances indexed", count=len(instances))

    def _read(self, batch: Iterable[StoredFile]) -> Iterator[Instance]:
        for stored in batch:
            try:
                yield self._read_instance(stored.path)
            except FileNotFoundError:  # a copy that was removed, or retention's
                continue
            except UnreadableInstanceError as error:
                self._quarantine(stored, str(error))
            except OSError as error:
                self._missed = True
                log.warning(
                    "received file not readable now; the next sweep tries again", file=stored.path.name, errno=error.errno
                )
            except Exception as error:  # noqa: BLE001  # an odd file must not hold up the others; acknowledged, so it is kept
                self._quarantine(stored, f"broke the reader ({type(error).__name__})")  # whose words may name a patient

    def _quarantine(self, stored: StoredFile, reason: str) -> None:
        path = self._spool.quarantine(stored.path)
        try:
            self._ledger.quarantine(path, reason, stored.received_at)
        except NodeError:
            self._sweep_wanted.set()
            raise
        log.warning("received file quarantined", file=path.name, reason=reason)

    def _sweep(self) -> None:
        """Give a row to every file that has none."""
        known = self._ledger.known_paths()
        self._swept_at, self._missed = time.monotonic(), False
        adopted = 0
        after_start, self._started = not self._started, True
        for unknown in self._spool.directories(known, after_start=after_start):
            for start in range(0, len(unknown), BATCH_SIZE):
                self._unswept = len(unknown) - start
                self._index(unknown[start : start + BATCH_SIZE])
            adopted, self._unswept = adopted + len(unknown), 0
        if adopted:
            log.info("files without a row adopted", count=adopted)
