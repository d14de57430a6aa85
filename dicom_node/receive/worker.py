"""One of several processes that serve the associations of a port. Its parent accepts the connections and hands them over."""

import contextlib
import gc
import itertools
import json
import queue
import signal
import socket
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import structlog

from dicom_node.errors import TransientError
from dicom_node.receive.association import Services
from dicom_node.receive.backpressure import Backpressure
from dicom_node.receive.commitment import CommitmentReport
from dicom_node.receive.connections import Associations, application_entity
from dicom_node.receive.disk import DiskGuard
from dicom_node.receive.door import Door
from dicom_node.receive.messages import Congestion, Gone, Orders, Ready, Reported, Stop, Stored, Verdict
from dicom_node.receive.spool import Spool, StoredFile
from dicom_node.receive.storing import SpoolStore

log = structlog.get_logger()

CLOSE_S = 5.0
VERDICT_S = 30.0
REPORT_S = 0.1
COLLECT_S = 10.0
LARGEST_TICKET_BYTES = 1024


def ticket(host: str, *, is_one_too_many: bool) -> bytes:
    """What goes with the descriptor of a connection."""
    return json.dumps([host, is_one_too_many]).encode()


class Worker:
    """Serves connections until it is told to stop, or its parent is gone.

    Args:
        orders: what to do.
        pipe: to and from the parent.
        connections: brings the descriptors of accepted connections.
    """

    def __init__(self, orders: Orders, pipe: Connection, connections: socket.socket) -> None:
        settings = orders.settings
        self._pipe = pipe
        self._connections = connections
        self._done = threading.Event()
        self._taking = threading.Thread(target=self._take_connections, name="take-connections", daemon=True)
        self._sending = threading.Lock()
        self._numbers = itertools.count()
        self._verdicts: dict[int, _Awaited] = {}
        self._pressure = Backpressure(DiskGuard(orders.spool, settings.watermarks), settings.max_unindexed)
        self._door = Door(settings, self._pressure.reason)
        spool = Spool(orders.spool, durable=settings.durable)
        self._stored: queue.SimpleQueue[StoredFile | None] = queue.SimpleQueue()
        store = SpoolStore(spool, self._pressure, self._stored.put)
        keep = self._keep_report if orders.hears_commitments else None
        services = Services(application_entity(settings), self._door, store, keep)
        self._associations = Associations(services, lambda host: self._tell(Gone(host)))

    def run(self) -> None:
        """Serve. Returns when it was told to stop and has; a parent that died ends it at once."""
        for number in (signal.SIGINT, signal.SIGTERM):  # to a whole group of processes: the parent's to answer
            signal.signal(number, signal.SIG_IGN)
        self._taking.start()
        threading.Thread(target=self._listen, name="listen", daemon=True).start()  # last: its first word may be to stop
        self._tell(Ready())
        collected_at = time.monotonic()
        while not self._done.is_set():
            with contextlib.suppress(queue.Empty):
                first = self._stored.get(timeout=COLLECT_S)
                self._done.wait(REPORT_S)
                self._report_stored(first)
            if time.monotonic() - collected_at >= COLLECT_S:
                gc.collect()  # an association that is over is a ring of objects: 300 KB until somebody collects it
                collected_at = time.monotonic()

    def _report_stored(self, first: StoredFile | None) -> None:
        """Tell the parent of the files since the last time, all at once: one by one would cost more than storing them."""
        others = (self._stored.get() for _ in range(self._stored.qsize()))
        if files := tuple(file for file in (first, *others) if file is not None):
            self._tell(Stored(files))

    def _end(self) -> None:
        self._done.set()
        self._stored.put(None)

    def _listen(self) -> None:
        """Heed the parent until it says stop, or is gone."""
        try:
            while True:
                match self._pipe.recv():
                    case Congestion(unindexed, has_room):
                        self._pressure.follow(unindexed, has_room=has_room)
                    case Verdict(number, refused):
                        self._verdicts.pop(number).settle(refused)
                    case Stop(drain_s):
                        threading.Thread(target=self._stop, args=(drain_s,), name="stop", daemon=True).start()
        except (EOFError, OSError):
            self._end()

    def _take_connections(self) -> None:
        """Until the parent closes its end."""
        while True:
            try:
                content, descriptors, _, _ = socket.recv_fds(self._connections, LARGEST_TICKET_BYTES, 1)
            except OSError:
                return
            if not content:
                return
            host, is_one_too_many = json.loads(content)
            if not descriptors:
                log.error("a connection lost: this process may open no more descriptors", alarm=True)
                self._tell(Gone(host))
                continue
            connection = socket.socket(fileno=descriptors[0])
            try:
                self._associations.serve(connection, host, is_one_too_many)
            except (OSError, RuntimeError) as error:  # it has ended already, or there is no thread for it
                log.debug("a connection could not be served", error=type(error).__name__)
                connection.close()
                self._tell(Gone(host))

    def _stop(self, drain_s: float) -> None:
        self._taking.join(drain_s)
        if not self._associations.drain(drain_s):
            log.warning("associations closed before their end", count=self._door.association_count)
        self._associations.interrupt(CLOSE_S)
        self._end()

    def _keep_report(self, report: CommitmentReport) -> None:
        number, awaited = next(self._numbers), _Awaited()
        self._verdicts[number] = awaited
        self._tell(Reported(number, report))
        refused = awaited.result(VERDICT_S)
        if refused:
            raise TransientError(refused)

    def _tell(self, message: Any) -> None:
        """A parent that is gone need not be told: what is in the spool is found by the next."""
        with self._sending, contextlib.suppress(OSError):
            self._pipe.send(message)


class _Awaited:
    """The parent's answer, once it comes."""

    def __init__(self) -> None:
        self._settled = threading.Event()
        self._refused = "the receiving service does not answer"

    def settle(self, refused: str) -> None:
        self._refused = refused
        self._settled.set()

    def result(self, timeout_s: float) -> str:
        self._settled.wait(timeout_s)
        return self._refused
