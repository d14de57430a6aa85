"""Several processes on one port: the parent accepts, the workers serve, and the ledger has one writer.

The parent holds the listening socket and counts connections, so that limits hold over all workers; it passes each connection to
the worker that has fewest (SCM_RIGHTS). A worker that dies takes its own associations with it, which their senders repeat, and
is replaced; a parent that dies ends its workers.
"""

import contextlib
import select
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any, Self

import structlog

from dicom_node.errors import NodeError, TransientError
from dicom_node.receive.commitment import OnCommitment
from dicom_node.receive.connections import Acceptor
from dicom_node.receive.door import Census
from dicom_node.receive.messages import Congestion, Gone, Orders, Ready, Reported, Stop, Stored, Verdict
from dicom_node.receive.receiver import address_of, open_port
from dicom_node.receive.spool import StoredFile
from dicom_node.receive.transport import close
from dicom_node.receive.worker import ticket

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from dicom_node.receive.settings import ReceiverSettings

log = structlog.get_logger()

START_S = 60.0
TAKE_S = 5.0  # to pass a connection to a worker that has many to begin
TELL_S = 1.0
FROZEN_S = 30.0
CLOSE_S = 10.0
RESPAWN_FIRST_S, RESPAWN_CAP_S = 0.1, 10.0


class ReceiverPool:
    """Listens between `start` and `stop`, as `Receiver` does.

    Args:
        orders: what the workers are told.
        program: starts a worker; the descriptors of its pipe and of its connections are appended as arguments.
        count: how many.
        on_stored: told of every stored file.
        on_commitment: as for `Receiver`.
        listening: as for `Receiver`.
        on_death: told when a worker died, for it may have stored what it did not tell.
    """

    def __init__(
        self,
        orders: Orders,
        program: Sequence[str],
        count: int,
        on_stored: Callable[[StoredFile], None],
        on_commitment: OnCommitment | None = None,
        listening: socket.socket | None = None,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings: ReceiverSettings = orders.settings
        self._census = Census(orders.settings)
        self._given = listening
        self._listening: socket.socket | None = None
        self._acceptor: Acceptor | None = None
        hooks = _Hooks(on_stored, on_commitment, self._census.leave, on_death)
        self._workers = [_WorkerProcess(number, orders, program, hooks) for number in range(count)]

    def start(self) -> Self:
        """Listen: when this returns, associations are accepted.

        Raises:
            TransientError: the port is taken, the address is none of this machine, or no worker starts.
        """
        self._listening = self._given or open_port(self._settings)
        for worker in self._workers:
            worker.start()
        if not all(worker.ready.wait(START_S) for worker in self._workers):
            self.stop()
            raise TransientError(f"the receiving processes did not start within {START_S:g} s")
        self._acceptor = Acceptor(self._listening, self._census, self._dispatch, keep_open=self._given is not None)
        self._acceptor.start()
        where = {"host": self.address[0], "port": self.address[1]}
        log.info("receiving", ae_title=self._settings.ae_title, processes=len(self._workers), **where)
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on.

        Raises:
            TransientError: it was not started.
        """
        return address_of(self._listening)

    @property
    def is_listening(self) -> bool:
        """Whether connections are accepted and every worker is kept alive."""
        return self._acceptor is not None and self._acceptor.is_alive and all(worker.is_kept for worker in self._workers)

    def report_congestion(self, unindexed: int, *, has_room: bool) -> None:
        """Tell the workers how many files wait for their row, and on which side of the watermarks the disk is."""
        for worker in self._workers:
            worker.tell(Congestion(unindexed, has_room))

    def stop(self, drain_s: float = 0.0) -> None:
        """Accept no more, let open associations end for so long, then close them. Nothing acknowledged is lost by that."""
        if self._acceptor is not None:
            self._acceptor.stop()
        elif self._listening is not None and self._given is None:
            self._listening.close()
        self._acceptor = self._listening = None
        for worker in self._workers:
            worker.stop(drain_s)
        deadline = time.monotonic() + drain_s + CLOSE_S
        for worker in self._workers:
            worker.join(deadline - time.monotonic())
        log.info("receiving ended")

    def _dispatch(self, connection: socket.socket, host: str, is_one_too_many: bool) -> None:  # noqa: FBT001  # a `Serve`
        """Pass a connection on; with no worker to take it, it is closed, and the sender comes again."""
        for worker in sorted(self._workers, key=lambda worker: worker.load):
            if worker.take(connection, host, is_one_too_many=is_one_too_many):
                connection.close()
                return
        log.error("no receiving process takes a connection", alarm=True)
        self._census.leave(host)
        close(connection)


class _Hooks:
    """What the workers' messages lead to."""

    def __init__(
        self,
        on_stored: Callable[[StoredFile], None],
        on_commitment: OnCommitment | None,
        gone: Callable[[str], None],
        died: Callable[[], None],
    ) -> None:
        self.on_stored = on_stored
        self.died = died
        self.gone = gone
        self._on_commitment = on_commitment

    def keep(self, reported: Reported) -> Verdict:
        try:
            if self._on_commitment is not None:
                self._on_commitment(reported.report)
        except NodeError as error:
            return Verdict(reported.number, str(error))
        except Exception as error:  # the PACS must hear of it, whatever it was
            log.exception("a storage commitment report could not be kept")
            return Verdict(reported.number, type(error).__name__)
        return Verdict(reported.number, "")


class _WorkerProcess:
    """A worker as its parent sees it, and the thread that listens to it and starts it again when it dies."""

    def __init__(self, number: int, orders: Orders, program: Sequence[str], hooks: _Hooks) -> None:
        self._orders = orders
        self._program = program
        self._hooks = hooks
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._frozen_since: float | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._open: Counter[str] = Counter()
        self._pipe: Connection | None = None
        self._connections: socket.socket | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"receiver-{number}", daemon=True)
        self.ready = threading.Event()

    @property
    def load(self) -> int:
        """How many connections it serves."""
        return self._open.total()

    @property
    def is_kept(self) -> bool:
        """Whether somebody looks after it."""
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def take(self, connection: socket.socket, host: str, *, is_one_too_many: bool) -> bool:
        """Hand a connection over. Whether it could take it."""
        with self._lock:
            if self._connections is None or not self.ready.is_set():
                return False
            try:
                socket.send_fds(self._connections, [ticket(host, is_one_too_many=is_one_too_many)], [connection.fileno()])
            except OSError:  # it has just died, or cannot keep up
                return False
            self._open[host] += 1
            return True

    def tell(self, message: Any) -> bool:
        """Send a message. False if it does not read: a frozen one must not freeze its parent, and is killed in the end."""
        with self._telling, contextlib.suppress(OSError):  # to one that died: the next learns it anew
            pipe = self._pipe
            if pipe is None:
                return True
            if not _is_writable(pipe, TELL_S):
                self._frozen_since = self._frozen_since or time.monotonic()
                if time.monotonic() - self._frozen_since > FROZEN_S:
                    self._kill()
                return False
            self._frozen_since = None
            pipe.send(message)
        return True

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            log.error("a receiving process does not answer and is killed", alarm=True)
            process.kill()

    def stop(self, drain_s: float) -> None:
        self._stopping.set()
        with self._lock:
            if self._connections is not None:  # it serves what was passed before the end
                self._connections.close()
                self._connections = None
        if not self.tell(Stop(drain_s)):
            self._kill()

    def join(self, timeout_s: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))

    def _keep(self) -> None:
        wait_s = RESPAWN_FIRST_S
        while not self._stopping.is_set():
            status = self._run()
            lived, served = self.ready.is_set(), self.load
            self._forget()
            if self._stopping.is_set():
                return
            self._hooks.died()
            wait_s = RESPAWN_FIRST_S if lived else min(2 * wait_s, RESPAWN_CAP_S)
            log.error("a receiving process died, starting another", status=status, connections=served, alarm=True)
            self._stopping.wait(wait_s)

    def _run(self) -> int:
        """One life of a worker. Its exit status."""
        with contextlib.ExitStack() as ends:
            try:
                process, ours, passing = self._spawn(ends)
            except OSError as error:  # no process, no memory, no descriptor to spare: again a little later
                log.error("no receiving process can be started now", errno=error.errno, alarm=True)
                return -1
            with self._lock, contextlib.suppress(OSError):
                self._pipe, self._connections, self._process, self._frozen_since = ours, passing, process, None
                ours.send(self._orders)
                if self._stopping.is_set():  # `stop` may have come too early to tell it
                    ours.send(Stop(0.0))
            try:
                while True:
                    self._heed(ours.recv())
            except (EOFError, OSError):
                pass
            finally:
                with self._lock, self._telling:
                    self._pipe = self._connections = self._process = None
        try:
            return process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _spawn(self, ends: contextlib.ExitStack) -> "tuple[subprocess.Popen[bytes], Connection, socket.socket]":
        """Start the program. The process, and this end of its pipe and of what brings it connections.

        Raises:
            OSError: the system cannot.
        """
        with contextlib.ExitStack() as passed_on:
            ours, theirs = Pipe()
            ends.callback(ours.close)
            passed_on.callback(theirs.close)
            passing, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ends.callback(passing.close)
            passed_on.callback(taking.close)
            passing.settimeout(TAKE_S)
            descriptors = (theirs.fileno(), taking.fileno())
            process = subprocess.Popen([*self._program, *map(str, descriptors)], pass_fds=descriptors)
        return process, ours, passing

    def _heed(self, message: Any) -> None:
        match message:
            case Stored(files):
                for file in files:
                    self._hooks.on_stored(file)
            case Gone(host):
                self._left(host)
            case Reported():
                self.tell(self._hooks.keep(message))
            case Ready():
                self.ready.set()

    def _left(self, host: str) -> None:
        with self._lock:
            self._open[host] -= 1
            if not self._open[host]:
                del self._open[host]
        self._hooks.gone(host)

    def _forget(self) -> None:
        """Its connections ended with it."""
        self.ready.clear()
        with self._lock:
            left, self._open = self._open, Counter()
        for host in left.elements():
            self._hooks.gone(host)


def _is_writable(pipe: "Connection", within_s: float) -> bool:
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    return bool(poll.poll(within_s * 1000))
