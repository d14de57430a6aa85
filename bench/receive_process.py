"""What a program and all that it has started take: CPU seconds and memory, read from /proc."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.1
QUIET_S = 0.3
QUIET_CPU_S = 0.011
"""One tick of the clock is no work."""
QUIET_DEADLINE_S = 20.0


class ProcessTree:
    """A process and its descendants."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu_s(self) -> float:
        """User and system time of all, those that have ended included, as far as their parents waited for them.

        The clock of a process is in ticks and loses up to two of them, which counts where there is a process for each
        association; that of its threads is in nanoseconds, but leaves out threads that have ended. The larger is right.
        """
        return sum(
            max(sum(map(int, fields[11:13])) / TICKS_PER_S, _threads_s(pid)) + sum(map(int, fields[13:15])) / TICKS_PER_S
            for pid, fields in self._members()
        )

    def pss_mb(self) -> float:
        """Proportional set size: what is shared counts once."""
        return sum(_pss_kb(pid) for pid, _ in self._members()) / 1000

    def wait_until_quiet(self) -> None:
        """Wait until it does nothing for a moment; not longer than the deadline."""
        deadline, used = time.monotonic() + QUIET_DEADLINE_S, self.cpu_s()
        while time.monotonic() < deadline:
            time.sleep(QUIET_S)
            now = self.cpu_s()
            if now - used < QUIET_CPU_S:
                return
            used = now

    def _members(self) -> Iterator[tuple[int, list[str]]]:
        """Process ids and the fields of their stat behind the name (proc(5): the first is field 3)."""
        stats = dict(_stats())
        children: dict[int, list[int]] = {}
        for pid, fields in stats.items():
            children.setdefault(int(fields[1]), []).append(pid)
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            if pid in stats:
                yield pid, stats[pid]
                waiting += children.get(pid, [])


def _stats() -> Iterator[tuple[int, list[str]]]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text()
            except OSError:
                continue  # it has ended
            yield int(entry.name), text.rpartition(")")[2].split()


def _threads_s(pid: int) -> float:
    """CPU seconds of the threads that there are."""
    total = 0
    try:
        for thread in os.scandir(f"/proc/{pid}/task"):
            total += int(Path(thread.path, "schedstat").read_text().split()[0])
    except OSError:
        pass  # it has ended, or the kernel keeps no such clock
    return total / 1e9


def _pss_kb(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        return 0  # it has ended
    return 0


class PeakMemory:
    """The largest memory of a process tree while the context is open."""

    def __init__(self, tree: ProcessTree) -> None:
        self.mb = 0.0
        self._tree = tree
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.mb = max(self.mb, self._tree.pss_mb())
            if self._ended.wait(SAMPLE_S):
                self.mb = max(self.mb, self._tree.pss_mb())
                return


def listens(port: int) -> bool:
    """Whether somebody listens on the TCP port; without a connection, which some receivers would log or fork for."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue  # no IPv6
        if any(fields[1].endswith(wanted) and fields[3] == "0A" for fields in map(str.split, lines)):
            return True
    return False
