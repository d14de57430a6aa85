"""A child process that can be killed, and whose death is an answer."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dicom_node.errors import PermanentError, TransientError
from dicom_node.infer.child import Child

SECRET = "Doe^Jane"  # noqa: S105


def work(task, progress):
    match task:
        case "pid":
            return os.getpid()
        case "crash":
            ctypes.string_at(0)  # a segmentation fault, as a broken driver causes
        case "hang":
            threading.Event().wait()
        case "memory":
            raise MemoryError
        case "raise":
            raise ValueError(SECRET)
        case "steps":
            progress("half", 0.5)
            progress("whole", 1.0)
    return None


@pytest.fixture
def child():
    child = Child(work)
    yield child
    child.stop()


def test_the_process_stays_between_tasks_so_that_models_stay_warm(child):
    first = child.run("pid", 60)
    assert first == child.run("pid", 60) != os.getpid()


def test_a_native_crash_is_transient_and_the_next_task_gets_a_new_process(child):
    first = child.run("pid", 60)
    with pytest.raises(TransientError, match="SIGSEGV"):
        child.run("crash", 60)
    assert child.run("pid", 60) != first


def test_a_hang_is_killed_at_the_time_limit(child):
    with pytest.raises(TransientError, match="limit of 0.5 s"):
        child.run("hang", 0.5)
    assert child.run("pid", 60)


def test_out_of_memory_is_transient(child):
    with pytest.raises(TransientError, match="MemoryError"):
        child.run("memory", 60)


def test_an_exception_is_permanent_and_its_text_stays_in_the_child(child):
    with pytest.raises(PermanentError, match=r"ValueError: at test_child\.py:\d+") as caught:
        child.run("raise", 60)
    assert SECRET not in str(caught.value)


def test_progress_arrives_in_order(child):
    steps = []
    child.run("steps", 60, lambda name, share: steps.append((name, share)))
    assert steps == [("half", 0.5), ("whole", 1.0)]


def test_stop_from_another_thread_ends_a_running_task(child):
    pid = child.run("pid", 60)
    threading.Timer(0.2, child.stop).start()
    with pytest.raises(TransientError):
        child.run("hang", 60)
    assert not alive(pid)


def test_a_killed_parent_takes_its_child_along():
    program = f"import os, signal; from {__name__} import Child, work; print(Child(work).run('pid', 60), flush=True); "
    program += "os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=60)
    pid = int(killed.stdout)
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
