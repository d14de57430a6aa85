"""Real PACS for tests: Orthanc, DCMTK's storescp and dcmqrscp, each on free ports, in the test's directory, ready to use.

A program that is not installed skips the test that asked for it, with the reason.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, Self

import pydicom
import pytest

LOOPBACK = "127.0.0.1"
START_DEADLINE_S = 60.0
PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Modality:
    """An application entity that a PACS knows and may send to."""

    name: str
    ae_title: str
    port: int
    host: str = LOOPBACK


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 30.0) -> None:
    """Return as soon as the condition holds.

    Raises:
        TimeoutError: it did not hold before the deadline.
    """
    pause = threading.Event()
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s} s: {what}")
        pause.wait(PAUSE_S)


def is_listening(port: int, host: str = LOOPBACK) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def program(name: str) -> str:
    """The path of an installed program; the test is skipped where it is missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@dataclass(slots=True)
class Server:
    """A program that runs in its own process group until stopped."""

    command: Sequence[str]
    ports: Sequence[int]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start, and wait until every port answers.

        Raises:
            RuntimeError: the program ended first; the message holds the end of its log.
        """
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                start_new_session=True,
                env={**os.environ, **self.environment},
            )
        self.process = process
        wait_until(lambda: process.poll() is not None or all(map(is_listening, self.ports)), self.command[0], START_DEADLINE_S)
        if process.poll() is not None:
            raise RuntimeError(
                f"{self.command[0]} ended with {process.returncode}: {self.log.read_text(errors='replace')[-2000:]}"
            )
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the program and what it started; a second call does nothing."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
        with contextlib.suppress(ProcessLookupError):  # no child was left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(15)
        self.process = None


class OrthancRest:
    """Orthanc's HTTP interface, as far as tests read and steer by it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{LOOPBACK}:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, path: str, body: bytes | None = None, method: str | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, method=method)  # noqa: S310 - always http on loopback
        with self._opener.open(request, timeout=60) as reply:
            content: bytes = reply.read()
        return content

    def get(self, path: str) -> Any:
        return json.loads(self.call(path))

    def post(self, path: str, content: Any) -> Any:
        return json.loads(self.call(path, json.dumps(content).encode()))

    def is_up(self) -> bool:
        try:
            self.call("/system")
        except OSError:
            return False
        return True

    def upload(self, path: Path) -> str:
        """Store a file without the network protocol; gives Orthanc's identifier of the instance."""
        return str(json.loads(self.call("/instances", path.read_bytes()))["ID"])

    def find(self, level: str = "Instance", **query: str) -> list[str]:
        """Orthanc's identifiers of what matches, by keyword (StudyInstanceUID="1.2…", Modality="SEG")."""
        found: list[str] = self.post("/tools/find", {"Level": level, "Query": query})
        return found

    def sop_instance_uids(self, **query: str) -> list[str]:
        """Sorted SOP Instance UIDs of the instances that match."""
        tags = [self.get(f"/instances/{identifier}/simplified-tags") for identifier in self.find(**query)]
        return sorted(str(t["SOPInstanceUID"]) for t in tags)

    def read_file(self, identifier: str) -> bytes:
        """The Part 10 file as Orthanc keeps it."""
        return self.call(f"/instances/{identifier}/file")

    def datasets(self, **query: str) -> list[pydicom.Dataset]:
        """The instances that match, read back."""
        return [pydicom.dcmread(BytesIO(self.read_file(identifier))) for identifier in self.find(**query)]

    def store(self, modality: str, identifiers: Sequence[str], **options: Any) -> Any:
        """Send studies, series or instances to a modality; returns when all are sent."""
        return self.post(f"/modalities/{modality}/store", {"Resources": list(identifiers), "Synchronous": True, **options})

    def wait_for(self, count: int, deadline_s: float = 60.0, **query: str) -> list[pydicom.Dataset]:
        """The instances that match, as soon as there are at least `count` of them."""
        wait_until(lambda: len(self.find(**query)) >= count, f"{count} instances of {query} in Orthanc", deadline_s)
        return self.datasets(**query)

    def delete(self, identifier: str) -> None:
        self.call(f"/instances/{identifier}", method="DELETE")


Forwarding = Literal["instances", "stable series", "stable study"]
# What came from the modality itself is not sent back to it.
_FORWARD_LUA: dict[Forwarding, str] = {
    "instances": """
function OnStoredInstance(instance, tags, metadata, origin)
  if origin['RemoteAet'] ~= '{ae_title}' then SendToModality(instance, '{name}') end
end
""",
    "stable series": """
function OnStableSeries(series, tags, metadata)
  if tags['Modality'] ~= 'SEG' and tags['Modality'] ~= 'SR' then
    RestApiPost('/modalities/{name}/store', DumpJson({{ Resources = {{ series }}, Synchronous = false }}))
  end
end
""",
    "stable study": """
local sent = {{}}
function OnStableStudy(study, tags, metadata)
  if not sent[study] then
    sent[study] = true
    RestApiPost('/modalities/{name}/store', DumpJson({{ Resources = {{ study }}, Synchronous = false }}))
  end
end
""",
}


@dataclass(slots=True)
class Orthanc:
    """A running Orthanc; `stop()` and `start()` are an outage, its storage and ports stay."""

    ae_title: str
    port: int
    http_port: int
    directory: Path
    server: Server
    rest: OrthancRest
    host: str = LOOPBACK

    def start(self) -> Self:
        self.server.start()
        wait_until(self.rest.is_up, "Orthanc's HTTP interface", START_DEADLINE_S)
        return self

    def stop(self) -> None:
        self.server.stop()

    def kill(self) -> None:
        self.server.stop(signal.SIGKILL)


def _orthanc_configuration(directory: Path, ae_title: str, ports: tuple[int, int], known: Sequence[Modality]) -> dict[str, Any]:
    return {
        "Name": "test",
        "StorageDirectory": str(directory / "storage"),
        "IndexDirectory": str(directory / "storage"),
        "DicomAet": ae_title,
        "DicomPort": ports[0],
        "HttpPort": ports[1],
        "RemoteAccessAllowed": False,
        "HttpServerEnabled": True,
        "SyncStorageArea": False,
        "StableAge": 2,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "OverwriteInstances": False,
        "DicomModalities": {m.name: [m.ae_title, m.host, m.port] for m in known},
        "LuaScripts": [],
        "Plugins": [],
    }


def _forwarding_script(directory: Path, modality: Modality, forwarding: Forwarding) -> str:
    script = directory / "forward.lua"
    script.write_text(_FORWARD_LUA[forwarding].format(name=modality.name, ae_title=modality.ae_title))
    return str(script)


def _dicomweb_plugin() -> str:
    folders = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc"), Path("/usr/local/share/orthanc/plugins"))
    found = next((p for folder in folders for p in sorted(folder.glob("libOrthancDicomWeb.so*"))), None)
    if found is None:
        pytest.skip("Orthanc's DICOMweb plugin is not installed")
    return str(found)


@contextmanager
def orthanc(
    directory: Path,
    *,
    ae_title: str = "ORTHANC",
    modalities: Sequence[Modality] = (),
    forward: tuple[Modality, Forwarding] | None = None,
    dicomweb: bool = False,
    start: bool = True,
    **settings: Any,
) -> Iterator[Orthanc]:
    """An Orthanc for the length of the block.

    Args:
        directory: holds its configuration, storage and log (orthanc.log).
        modalities: application entities it knows (for C-MOVE, storage commitment reports, `rest.store`).
        forward: a modality that everything received is sent on to, and when.
        dicomweb: with the DICOMweb plugin, under /dicom-web/.
        start: False gives a PACS that is still down; call `.start()`.
        settings: further keys of Orthanc's configuration.
    """
    executable = program("Orthanc")
    directory.mkdir(parents=True, exist_ok=True)
    ports = (free_port(), free_port())
    configuration = _orthanc_configuration(directory, ae_title, ports, [*modalities, *(forward[:1] if forward else ())])
    if forward:
        configuration["LuaScripts"] = [_forwarding_script(directory, *forward)]
    if dicomweb:
        configuration["Plugins"] = [_dicomweb_plugin()]
    path = directory / "orthanc.json"
    path.write_text(json.dumps({**configuration, **settings}, indent=1))
    server = Server([executable, str(path)], ports, directory / "orthanc.log")
    pacs = Orthanc(ae_title, ports[0], ports[1], directory, server, OrthancRest(ports[1]))
    try:
        yield pacs.start() if start else pacs
    finally:
        pacs.stop()


@dataclass(slots=True)
class StoreScp:
    """A running DCMTK storescp (or dcmqrscp): files under `directory`."""

    ae_title: str
    port: int
    directory: Path
    server: Server
    host: str = LOOPBACK

    def start(self) -> Self:
        self.server.start()
        return self

    def stop(self) -> None:
        self.server.stop()

    def files(self) -> list[Path]:
        """What it keeps, sorted; dcmqrscp's index is left out."""
        return sorted(p for p in self.directory.rglob("*") if p.is_file() and p.name != "index.dat")

    def sop_instance_uids(self) -> list[str]:
        return sorted(str(pydicom.dcmread(p, stop_before_pixels=True, force=True).SOPInstanceUID) for p in self.files())


@contextmanager
def storescp(
    directory: Path, *options: str, ae_title: str = "STORESCP", port: int = 0, start: bool = True
) -> Iterator[StoreScp]:
    """DCMTK's storescp for the length of the block, with any of its options ("--abort-after", "+xi", "-B" …)."""
    executable = program("storescp")
    files = directory / "files"
    files.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = [executable, "-v", "-aet", ae_title, "-od", str(files), *options, str(port)]
    environment = {"TCP_NODELAY": "1"}  # DCMTK leaves Nagle on otherwise: 40 ms a reply
    pacs = StoreScp(ae_title, port, files, Server(command, [port], directory / "storescp.log", environment))
    try:
        yield pacs.start() if start else pacs
    finally:
        pacs.stop()


@contextmanager
def dcmqrscp(directory: Path, *, ae_title: str = "DCMQRSCP", modalities: Sequence[Modality] = ()) -> Iterator[StoreScp]:
    """DCMTK's small archive for the length of the block: C-STORE, C-FIND, C-MOVE, C-GET."""
    executable = program("dcmqrscp")
    files = directory / "files"
    files.mkdir(parents=True, exist_ok=True)
    port = free_port()
    hosts = "".join(f"{m.name} = ({m.ae_title}, {m.host}, {m.port})\n" for m in modalities)
    path = directory / "dcmqrscp.cfg"
    path.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{hosts}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{ae_title} {files} RW (200, 4096mb) ANY\nAETable END\n"
    )
    command = [executable, "-v", "-c", str(path), str(port)]
    pacs = StoreScp(ae_title, port, files, Server(command, [port], directory / "dcmqrscp.log", {"TCP_NODELAY": "1"}))
    try:
        yield pacs.start()
    finally:
        pacs.stop()
