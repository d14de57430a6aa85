"""The node as it is installed: `dicom-node serve` in processes of its own, with a configuration file, on free ports."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from dicom_node.ledger import Ledger, Status
from dicom_node.lifecycle import State
from tests.pacs_servers import LOOPBACK, Modality, Server, free_port, program, wait_until

EXAMPLE_ENGINE = Path(__file__).with_name("example_engine.py")
AE_TITLE = "DICOM-NODE"


@dataclass(frozen=True, slots=True)
class Target:
    """A destination in the node's configuration."""

    name: str
    ae_title: str
    port: int
    more: str = ""


@dataclass(slots=True)
class Node:
    """A node that can be started, killed and started again over the same state."""

    directory: Path
    port: int
    servers: dict[str, Server] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def configuration(self) -> Path:
        return self.directory / "node.toml"

    def add(self, target: Target) -> None:
        """Configure one more destination; a node that runs does not see it before its next start."""
        block = (
            f'\n[[destination]]\nname = "{target.name}"\nae_title = "{target.ae_title}"\nhost = "{LOOPBACK}"\n'
            f"port = {target.port}\nretry_first_s = 0.5\nretry_cap_s = 2.0\nnetwork_timeout_s = 10\n{target.more}\n"
        )
        self.configuration.write_text(self.configuration.read_text() + block)

    def modality(self) -> Modality:
        """The node as a PACS knows it."""
        return Modality("node", AE_TITLE, self.port)

    def start(self, *services: str) -> Self:
        """Start services ("receive", "process"); both without a word."""
        for name in services or ("receive", "process"):
            command = [sys.executable, "-m", "dicom_node.cli", "--config", str(self.configuration), "serve", "--only", name]
            ports = [self.port] if name == "receive" else []
            self.servers[name] = Server(command, ports, self.directory / f"{name}.log", {"OMP_NUM_THREADS": "2"}).start()
        return self

    def kill(self, *services: str) -> None:
        """kill -9."""
        for name in services or tuple(self.servers):
            process = self.servers[name].process
            assert process is not None
            process.send_signal(signal.SIGKILL)
            process.wait(15)
            self.servers.pop(name).stop()

    def stop(self) -> None:
        """SIGTERM, and wait until everything has drained."""
        for name in tuple(self.servers):
            self.servers.pop(name).stop()

    def ledger(self) -> Ledger:
        return Ledger.open(self.state / "ledger.sqlite")

    def status(self) -> Status:
        with self.ledger() as ledger:
            return ledger.views.status()

    def is_settled(self, instances: int = 1) -> bool:
        """Whether so many instances were received, every series decided, every job run, every result delivered."""
        with self.ledger() as ledger:
            return (
                len(ledger.instances.known_paths()) >= instances
                and not ledger.series.open()
                and not ledger.jobs.find(states=(State.QUEUED, State.RUNNING))
                and not ledger.deliveries.find(states=(State.QUEUED, State.RUNNING, State.AWAITING))
            )

    def wait_settled(self, instances: int = 1, deadline_s: float = 180.0) -> None:
        try:
            wait_until(lambda: self.is_settled(instances), "everything received is decided, run and delivered", deadline_s)
        except TimeoutError as error:
            logs = "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-3000:]}" for p in self.directory.glob("*.log"))
            raise TimeoutError(f"{error}\n{logs}") from error

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `dicom-node --config … arguments`."""
        command = [sys.executable, "-m", "dicom_node.cli", "--config", str(self.configuration), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "COLUMNS": "200"})


BODY_AIR = f"""
[[engine]]
name = "body-air"
module = {json.dumps(str(EXAMPLE_ENGINE))}

[[rule]]
engine = "body-air"
when = {{ modality = "CT" }}
"""
LUNGS = """
[[engine]]
name = "lung-segmentation"
"""
"""With its default rule."""


@contextmanager
def node(
    directory: Path,
    *targets: Target,
    engines: str = BODY_AIR,
    quiet_s: float = 1.0,
    start: bool = True,
    more: str = "",
    ask: str = "",
    longest_wait_s: float = 4.0,
) -> Iterator[Node]:
    """A node for the length of the block.

    Args:
        directory: holds configuration, state and logs.
        targets: destinations of results.
        engines: blocks of TOML: engines and their rules; empty for the node's defaults.
        quiet_s: how long a series is quiet before it is whole.
        start: False gives a node that is still down.
        more: further TOML.
        ask: the destination that is asked how many instances a series has.
        longest_wait_s: how long a series with gaps is waited for.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    made = Node(directory, port)
    made.configuration.write_text(
        f'[node]\nae_title = "{AE_TITLE}"\nhost = "{LOOPBACK}"\nport = {port}\nstate_dir = {json.dumps(str(made.state))}\n'
        f"\n[assemble]\nquiet_s = {quiet_s}\nlongest_wait_s = {max(longest_wait_s, quiet_s)}\nask = {json.dumps(ask)}\n"
        f"{engines}{more}"
    )
    for target in targets:
        made.add(target)
    try:
        yield made.start() if start else made
    finally:
        made.stop()


def dcmsend(port: int, paths: Sequence[Path], *options: str, calling: str = "DCMSEND") -> subprocess.CompletedProcess[str]:
    """DCMTK's dcmsend to its end; it negotiates what each file needs."""
    command = [program("dcmsend"), "-aet", calling, "-aec", AE_TITLE, "--no-uid-checks", *options, LOOPBACK, str(port)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, timeout=300, env=environment)
