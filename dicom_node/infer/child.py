"""A child process that does one task at a time, keeps its models warm, and can be killed.

A CUDA fault, a native crash or a hang ends the child, never the node: the parent learns of it, and the next task gets a new
child. The child dies with its parent (PR_SET_PDEATHSIG), so that a killed node leaves no inference behind.
"""

import ctypes
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any

from dicom_node.errors import PermanentError, TransientError

PR_SET_PDEATHSIG = 1

Progress = Callable[[str, float], None]
Function = Callable[[Any, Progress], Any]


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    share: float


@dataclass(frozen=True, slots=True)
class _Answer:
    value: Any


@dataclass(frozen=True, slots=True)
class _Failure:
    kind: str
    message: str
    transient: bool


class Child:
    """Runs `function(task, progress)` in a spawned process; task and answer are pickled.

    The function's models live in its process between tasks. One task at a time: `run` is serialised.

    Args:
        function: picklable; called in the child.
        memory_limit_bytes: of data that the child may allocate (RLIMIT_DATA); CUDA reserves more than it uses.
    """

    def __init__(self, function: Function, memory_limit_bytes: int | None = None) -> None:
        self._function = function
        self._memory_limit_bytes = memory_limit_bytes
        self._spawn = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._lock = Lock()

    def run(self, task: Any, time_limit_s: float, progress: Progress = lambda step, share: None) -> Any:
        """The function's answer.

        Raises:
            TransientError: the child died, ran past its limit or out of memory; the task may be tried again.
            PermanentError: the function raised; the message is the kind of exception, and its text only for our own errors.
        """
        with self._lock:
            pipe = self._pipe if self._process and self._process.is_alive() and self._pipe else self._start()
            try:
                pipe.send(task)
                return self._await(pipe, time.monotonic() + time_limit_s, time_limit_s, progress)
            except (EOFError, BrokenPipeError, ConnectionResetError) as error:
                code = self._end()
                raise TransientError(f"the inference process died ({_cause(code)})") from error

    def _await(self, pipe: Connection, deadline: float, time_limit_s: float, progress: Progress) -> Any:
        while pipe.poll(max(0.0, deadline - time.monotonic())):
            match pipe.recv():
                case _Step(name, share):
                    progress(name, share)
                case _Answer(value):
                    return value
                case _Failure(kind, message, transient):
                    self._end()  # what failed once may have left a device or a library in disorder
                    raise (TransientError if transient else PermanentError)(f"{kind}: {message}" if message else kind)
        self._end()
        raise TransientError(f"inference took longer than its limit of {time_limit_s:g} s and was killed")

    def stop(self) -> None:
        """Kill the child, whatever it does. A running `run` raises TransientError; may be called from another thread."""
        self._end()

    def _start(self) -> Connection:
        self._pipe, theirs = self._spawn.Pipe()
        self._process = self._spawn.Process(
            target=_serve, args=(theirs, self._function, os.getpid(), self._memory_limit_bytes), daemon=True
        )
        self._process.start()
        theirs.close()
        return self._pipe

    def _end(self) -> int | None:
        process = self._process
        if process is None:
            return None
        process.kill()
        process.join()
        self._process = None
        return process.exitcode


def _cause(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"exit status {exit_code}"
    return f"signal {signal.Signals(-exit_code).name}"


def _serve(pipe: Connection, function: Function, parent: int, memory_limit_bytes: int | None) -> None:
    """The child's loop: one task in, steps and one answer out."""
    if memory_limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit_bytes, memory_limit_bytes))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above took effect
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # so that a drain can finish the task; the parent kills if it must
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(_settle(function, task, lambda name, share: pipe.send(_Step(name, share))))


def _settle(function: Function, task: Any, progress: Progress) -> _Answer | _Failure:
    try:
        return _Answer(function(task, progress))
    except (TransientError, MemoryError) as error:
        return _Failure(type(error).__name__, str(error), transient=True)
    except Exception as error:  # noqa: BLE001 - the task's outcome is settled here; a library's words could name the patient
        where = _place(error)
        words = str(error) if isinstance(error, PermanentError) else where
        return _Failure(type(error).__name__, words, transient=False)


def _place(error: BaseException) -> str:
    """File and line of the innermost frame: enough for a developer, nothing of the patient."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else ""  # noqa: PTH119
