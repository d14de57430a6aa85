"""The node as something to be killed: its processes, one by one, and what they use."""

import os
import random
import re
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.node_process import Node
from tests.pacs_servers import LOOPBACK, Server, is_listening, wait_until

HEAL_S = 60.0
ORPHAN_S = 20.0
STILLBORN, STARTING_S = 0.2, 2.0
"""Share of killed services that are killed again while they start, and how long that takes."""
SERVICES = ("receive", "process")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a service and its children use together."""

    rss_mib: float
    threads: int
    descriptors: int
    processes: int


class Victim:
    """A node that is killed and healed."""

    def __init__(self, node: Node, services: tuple[str, ...] = SERVICES) -> None:
        self.node = node
        self.services = services
        self.kills: dict[str, int] = {}

    @property
    def address(self) -> tuple[str, int]:
        return LOOPBACK, self.node.port

    def start(self) -> None:
        for service in self.services:
            if service not in self.node.servers:
                self.node.start(service)

    def pid(self, service: str) -> int:
        process = self.node.servers[service].process
        assert process is not None
        return process.pid

    def kill(self, who: str, chance: random.Random) -> None:
        """kill -9 of "receive", "worker" (a child of it), "process" or "inference" (a child of that), and heal.

        A service without children is killed itself.
        """
        service = {"worker": "receive", "inference": "process"}.get(who, who)
        workers = children(self.pid(service))
        if who != service and workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
            self.kills[who] = self.kills.get(who, 0) + 1
            if who == "worker":
                self._heal(len(workers))
        else:
            self.kill_service(service)
            if chance.random() < STILLBORN:
                self._kill_while_it_starts(service, chance)
            self.start()

    def _kill_while_it_starts(self, service: str, chance: random.Random) -> None:
        configuration = str(self.node.configuration)
        command = [sys.executable, "-m", "dicom_node.cli", "--config", configuration, "serve", "--only", service]
        log = self.node.directory / f"{service}.log"
        self.node.servers[service] = Server(command, (), log).start()
        threading.Event().wait(chance.uniform(0.0, STARTING_S))
        self.kill_service(service)

    def kill_service(self, service: str) -> None:
        """kill -9 of a service's own process; its children must end by themselves, as nobody else would end them."""
        self.kills[service] = self.kills.get(service, 0) + 1
        workers = descendants(self.pid(service))
        server = self.node.servers.pop(service)
        assert server.process is not None
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(15)
        wait_until(lambda: not any(map(is_running, workers)), f"the children of {service} end with it", ORPHAN_S)

    def _heal(self, workers: int) -> None:
        """Wait until a killed worker is replaced; a service that ends instead is started again, as systemd would."""
        process = self.node.servers["receive"].process
        assert process is not None
        wait_until(
            lambda: process.poll() is not None or len(children(process.pid)) >= workers, "the worker is replaced", HEAL_S
        )
        if process.poll() is not None:
            self.node.servers.pop("receive").stop()
            self.start()
        wait_until(lambda: is_listening(self.node.port), "the node listens again", HEAL_S)

    def usage(self, service: str = "receive") -> Usage:
        """Of the service and all that it started."""
        pids = [self.pid(service), *descendants(self.pid(service))]
        rss = sum(_status(pid, "VmRSS") for pid in pids) / 1024
        descriptors = sum(_count(Path(f"/proc/{pid}/fd")) for pid in pids)
        return Usage(rss, sum(_status(pid, "Threads") for pid in pids), descriptors, len(pids))

    def log(self, service: str = "receive") -> str:
        return (self.node.directory / f"{service}.log").read_text(errors="replace")


def children(pid: int) -> list[int]:
    """The processes that a process started; not Python's own housekeeping."""
    return [child for child in _all_children(pid) if "resource_tracker" not in _command(child)]


def descendants(pid: int) -> list[int]:
    found = list(_all_children(pid))
    return found + [further for child in found for further in descendants(child)]


def _all_children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _status(pid: int, key: str) -> int:
    try:
        found = re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) if found else 0


def _count(directory: Path) -> int:
    try:
        return len(os.listdir(directory))  # noqa: PTH208 - names are not needed
    except (FileNotFoundError, ProcessLookupError):
        return 0
