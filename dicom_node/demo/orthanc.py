"""Orthanc as the demo's PACS: a private instance on loopback, steered over its REST interface."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dicom_node.errors import NodeError

AE_TITLE = "DEMOPACS"
START_DEADLINE_S = 60.0
INSTANCES_PER_ASSOCIATION = 16


def installed() -> Path | None:
    """Orthanc's executable; daemons live in /usr/sbin, which is not on everyone's PATH."""
    found = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OrthancPacs:
    """A running Orthanc that knows the node.

    Raises:
        NodeError: it does not start.
    """

    name = "Orthanc"
    ae_title = AE_TITLE

    def __init__(self, executable: Path, directory: Path, node_ae_title: str, node_port: int) -> None:
        directory.mkdir(parents=True)
        self.port, http_port = free_port(), free_port()
        self._url = f"http://127.0.0.1:{http_port}"
        configuration = directory / "orthanc.json"
        configuration.write_text(json.dumps(_configuration(directory, self.port, http_port, (node_ae_title, node_port))))
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with (directory / "orthanc.log").open("wb") as log:
            self._process = subprocess.Popen([executable, configuration], stdout=log, stderr=log)
        self._wait(directory / "orthanc.log")

    def load(self, paths: Sequence[Path]) -> Iterator[None]:
        """Take instances into the archive; one step for each."""
        for path in paths:
            self._call("/instances", path.read_bytes())
            yield

    def forward(self) -> Iterator[None]:
        """Send everything it holds to the node by C-STORE; one step for each instance."""
        held = self._json("/instances")
        for start in range(0, len(held), INSTANCES_PER_ASSOCIATION):
            chunk = held[start : start + INSTANCES_PER_ASSOCIATION]
            body = json.dumps({"Resources": chunk, "Synchronous": True}).encode()
            self._call("/modalities/node/store", body)
            yield from (None for _ in chunk)

    def instances(self) -> dict[str, bytes]:
        """Every instance that it holds, by SOP Instance UID, as the Part 10 file it gives out."""
        found = {}
        for identifier in self._json("/instances"):
            uid = self._json(f"/instances/{identifier}")["MainDicomTags"]["SOPInstanceUID"]
            found[uid] = self._call(f"/instances/{identifier}/file")
        return found

    def uids(self) -> set[str]:
        """SOP Instance UIDs of everything that it holds."""
        return {str(i["MainDicomTags"]["SOPInstanceUID"]) for i in self._json("/instances?expand")}

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._call("/system")
            except OSError:
                time.sleep(0.1)
            else:
                return
        self.stop()
        raise NodeError(f"Orthanc did not start; its log is {log}")

    def _json(self, path: str) -> Any:
        return json.loads(self._call(path))

    def _call(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self._url + path, data=body)  # noqa: S310 - always http on loopback
        with self._opener.open(request, timeout=120) as reply:
            content: bytes = reply.read()
        return content


def _configuration(directory: Path, port: int, http_port: int, node: tuple[str, int]) -> dict[str, Any]:
    return {
        "Name": "dicom-node demo",
        "StorageDirectory": str(directory / "storage"),
        "IndexDirectory": str(directory / "storage"),
        "DicomAet": AE_TITLE,
        "DicomPort": port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
        "DicomModalities": {"node": [node[0], "127.0.0.1", node[1]]},
    }
