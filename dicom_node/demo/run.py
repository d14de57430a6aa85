"""The whole way of a study, with real processes and real associations: PACS → node → PACS."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom import dcmread

from dicom_node.demo.embedded import EmbeddedDemoPacs
from dicom_node.demo.orthanc import OrthancPacs, free_port, installed
from dicom_node.errors import NodeError
from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from dicom_node.pipeline.folder import read_folder

NODE_AE_TITLE = "DICOM-NODE"
QUIET_S = 3.0
START_DEADLINE_S = 120.0
RESULTS_DEADLINE_S = 1800.0
PAUSE_S = 0.2

Step = Callable[[str, int, int], None]
"""Told of progress: what is done, how much of it, of how much (0 where nobody knows)."""


class DemoPacs(Protocol):
    """What the demo asks of a PACS."""

    name: str
    ae_title: str
    port: int

    def load(self, paths: list[Path]) -> Iterator[None]:
        """Take instances into the archive; one step for each."""
        ...

    def forward(self) -> Iterator[None]:
        """Send everything it holds to the node; one step for each."""
        ...

    def uids(self) -> set[str]:
        """SOP Instance UIDs of everything that it holds."""
        ...

    def instances(self) -> dict[str, bytes]:
        """Part 10 files by SOP Instance UID."""
        ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Demo:
    """Where everything of one demonstration lies."""

    directory: Path

    @property
    def source(self) -> Path:
        return self.directory / "source"

    @property
    def results(self) -> Path:
        return self.directory / "results"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def configuration(self) -> Path:
        return self.directory / "node.toml"

    @property
    def log(self) -> Path:
        return self.directory / "node.log"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the demonstration has to show."""

    pacs: str
    sent_count: int
    returned: tuple[Path, ...]
    study_instance_uids: tuple[str, ...]
    seconds: dict[str, float]


def prepare(demo: Demo, dicom: Path | None, step: Step) -> list[Path]:
    """An empty folder with a copy of the study, or with a synthetic one.

    Raises:
        NodeError: the folder is not a demonstration's, the study holds no DICOM file or lies in what is to be emptied, or the
            synthetic study could not be made.
    """
    _empty(demo, dicom)
    if dicom is None:
        step("making a synthetic thorax CT", 0, 0)
        _synthesise(demo.source)
    else:
        folder = read_folder(dicom)
        if folder.unreadable:
            step("left out: files that are no DICOM instances", len(folder.unreadable), len(folder.unreadable))
        files = [instance.path for series in folder.series for instance in series.instances]
        for number, path in enumerate(sorted(files)):
            shutil.copyfile(path, demo.source / f"{number:06d}.dcm")
            step("copying the study", number + 1, len(files))
    found = sorted(demo.source.iterdir())
    if not found:
        raise NodeError(f"{dicom} holds no file of DICOM; give a folder with a study")
    return found


def _empty(demo: Demo, dicom: Path | None) -> None:
    """Make the folder anew; never one that holds anything but an earlier demonstration."""
    if demo.directory.exists() and any(demo.directory.iterdir()) and not demo.source.is_dir():
        raise NodeError(f"{demo.directory} holds something else than a demonstration and would be emptied; name another folder")
    if dicom is not None and dicom.resolve().is_relative_to(demo.directory.resolve()):
        raise NodeError(f"{dicom} lies in {demo.directory}, which is emptied first; copy the study elsewhere")
    shutil.rmtree(demo.directory, ignore_errors=True)
    demo.source.mkdir(parents=True)


def run(demo: Demo, files: list[Path], step: Step) -> Shown:
    """Send the study through the node and bring the results back to demo/results.

    Raises:
        NodeError: something did not start, was not taken, or took longer than half an hour; the message says where to look.
    """
    seconds: dict[str, float] = {}
    with _pacs(demo) as (pacs, node_port), _node(demo, pacs, node_port):
        begun = time.monotonic()
        for number, _ in enumerate(pacs.load(files), 1):
            step("loading the PACS", number, len(files))
        sent = pacs.uids()
        seconds["load the PACS"] = time.monotonic() - begun
        begun = time.monotonic()
        for number, _ in enumerate(pacs.forward(), 1):
            step(f"sending from {pacs.name} to the node", number, len(sent))
        seconds["send to the node"] = time.monotonic() - begun
        begun = time.monotonic()
        studies = _wait_for_results(demo, sent, step)
        seconds["from the last image to the last result in the PACS"] = time.monotonic() - begun
        returned = _bring_back(demo, pacs, sent)
        return Shown(pacs.name, len(sent), returned, studies, seconds)


def _synthesise(folder: Path) -> None:
    """In a process of its own: the training package makes it, and the node does not depend on that."""
    keep = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}  # reuse memory: twice as fast
    command = [sys.executable, "-m", "training.phantoms.series", str(folder)]
    made = subprocess.run(command, env=os.environ | keep, capture_output=True, text=True, check=False)
    if made.returncode:
        raise NodeError(f"the synthetic study could not be made: {made.stderr[-500:]}")


@contextmanager
def _pacs(demo: Demo) -> Iterator[tuple[DemoPacs, int]]:
    node_port, folder = free_port(), demo.directory / "pacs"
    executable = installed()
    pacs: DemoPacs
    if executable:
        pacs = OrthancPacs(executable, folder, NODE_AE_TITLE, node_port)
    else:
        pacs = EmbeddedDemoPacs(folder, NODE_AE_TITLE, node_port)
    try:
        yield pacs, node_port
    finally:
        pacs.stop()


@contextmanager
def _node(demo: Demo, pacs: DemoPacs, port: int) -> Iterator[None]:
    """The node as anybody starts it: `dicom-node serve` with a configuration file."""
    demo.configuration.write_text(_configuration(demo, pacs, port))
    command = [sys.executable, "-m", "dicom_node.cli", "--config", str(demo.configuration), "serve"]
    with demo.log.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait(lambda: _listens(port), process, demo, START_DEADLINE_S, "the node to listen")
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _configuration(demo: Demo, pacs: DemoPacs, port: int) -> str:
    quoted = json.dumps  # a JSON string is a TOML string
    return f"""[node]
ae_title = {quoted(NODE_AE_TITLE)}
host = "127.0.0.1"
port = {port}
state_dir = {quoted(str(demo.state.absolute()))}

[assemble]
quiet_s = {QUIET_S}
longest_wait_s = 20

[[destination]]
name = "pacs"
ae_title = {quoted(pacs.ae_title)}
host = "127.0.0.1"
port = {pacs.port}
"""


def _wait_for_results(demo: Demo, sent: set[str], step: Step) -> tuple[str, ...]:
    """Until every series is decided, every job settled and every result delivered."""
    deadline = time.monotonic() + RESULTS_DEADLINE_S
    with Ledger.open(ledger_path(demo.state)) as ledger:
        while time.monotonic() < deadline:
            waiting, doing = _open_work(ledger)
            received = ledger.views.status().instances
            step("received, waiting for the series to be quiet" if waiting else doing or "done", received, len(sent))
            if received and not waiting and not doing:
                return tuple(sorted({series.study_instance_uid for series in ledger.jobs.find()}))
            time.sleep(PAUSE_S)
    raise NodeError(f"no result within {RESULTS_DEADLINE_S:.0f} s; the node's log is {demo.log}")


def _open_work(ledger: Ledger) -> tuple[bool, str]:
    if ledger.series.open():
        return True, ""
    if ledger.jobs.find(states=(State.QUEUED, State.RUNNING)):
        return False, "inference"
    if ledger.deliveries.find(states=(State.QUEUED, State.RUNNING, State.AWAITING)):
        return False, "sending results to the PACS"
    return False, ""


def _bring_back(demo: Demo, pacs: DemoPacs, sent: set[str]) -> tuple[Path, ...]:
    demo.results.mkdir()
    paths = []
    for uid, content in pacs.instances().items():
        if uid not in sent:
            path = demo.results / f"{uid}.dcm"
            path.write_bytes(content)
            named = demo.results / f"{dcmread(path, specific_tags=['Modality']).Modality.lower()}-{uid[-8:]}.dcm"
            paths.append(path.rename(named))
    for overlay in (demo.state / "results").rglob("*.png"):
        shutil.copyfile(overlay, demo.directory / f"{overlay.parents[1].name}-{overlay.name}")
    return tuple(sorted(paths))


def ledger_path(state: Path) -> Path:
    return state / "ledger.sqlite"


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _wait(condition: Callable[[], bool], process: subprocess.Popen[bytes], demo: Demo, limit_s: float, what: str) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = demo.log.read_text(errors="replace")[-1500:]
            raise NodeError(f"waited in vain for {what}; the end of {demo.log}:\n{tail}")
        time.sleep(PAUSE_S)
