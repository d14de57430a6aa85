"""Both services for a small site, from one command: each in a process of its own, started again when it dies."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import structlog

from dicom_node.errors import NodeError

log = structlog.get_logger()

SERVICES = ("receive", "process")
RESTART_FIRST_S = 1.0
RESTART_CAP_S = 60.0
STEADY_S = 120.0
STOP_S = 620.0
LOOK_S = 1.0
PERMANENT_EXITS = frozenset({2, 78})
PR_SET_PDEATHSIG = 1
SYSTEMD = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})  # the supervisor answers systemd, nobody else


class Supervisor:
    """Runs `dicom-node serve --only receive` and `--only process` until stopped.

    Args:
        configuration: the file of both; None for the defaults.
    """

    def __init__(self, configuration: Path | None) -> None:
        self._configuration = configuration
        self._stopping = threading.Event()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._threads = [threading.Thread(target=self._keep, args=(name,), name=f"keep-{name}") for name in SERVICES]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def is_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """SIGTERM to both; wait until they have drained."""
        self._stopping.set()
        for process in list(self._processes.values()):
            process.send_signal(signal.SIGTERM)
        for thread in self._threads:
            thread.join()

    def _keep(self, name: str) -> None:
        wait_s = RESTART_FIRST_S
        while not self._stopping.is_set():
            begun = time.monotonic()
            status = self._run(name)
            if self._stopping.is_set():
                return
            if status in PERMANENT_EXITS:
                log.error("service refused to start", service=name, status=status)
                return
            wait_s = RESTART_FIRST_S if time.monotonic() - begun > STEADY_S else min(RESTART_CAP_S, wait_s * 2)
            log.error("service died, starting it again", service=name, status=status, wait_s=wait_s, alarm=True)
            self._stopping.wait(wait_s)

    def _run(self, name: str) -> int:
        options = ["--config", str(self._configuration)] if self._configuration else []
        command = [sys.executable, "-m", "dicom_node.cli", *options, "serve", "--only", name]
        environment = {key: value for key, value in os.environ.items() if key not in SYSTEMD}
        process = subprocess.Popen(command, env=environment, preexec_fn=_die_with_parent)  # noqa: PLW1509 - one C call
        self._processes[name] = process
        if self._stopping.is_set():
            process.send_signal(signal.SIGTERM)
        deadline: float | None = None
        while True:
            try:
                return process.wait(LOOK_S)
            except subprocess.TimeoutExpired:
                deadline = deadline or (time.monotonic() + STOP_S if self._stopping.is_set() else None)
                if deadline and time.monotonic() > deadline:
                    process.kill()


def _die_with_parent() -> None:
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM):
        raise NodeError("prctl(PR_SET_PDEATHSIG) was refused")
