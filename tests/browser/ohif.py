"""OHIF, a viewer that radiologists use, over Orthanc's DICOMweb, in headless Chromium, all of it on loopback.

OHIF's built files and the driver of the browser come from npm, once, into pytest's cache.
"""

import fcntl
import http.server
import json
import os
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pacs_servers import LOOPBACK, OrthancRest, program

OHIF, DRIVER = "@ohif/app@3.13.2", "playwright-core@1.65.1"
HERE = Path(__file__).parent
FORWARDED = ("/dicom-web/", "/wado")
# OHIF shares memory between threads, which a browser allows to isolated pages only.
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
KINDS = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css"} | {
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Programs:
    """`folder` holds the unpacked viewer and node_modules; the browser's driver runs there."""

    folder: Path
    node: str
    chromium: str

    def run(self, script: str, *arguments: str) -> Any:
        """What a script of this folder prints, as JSON."""
        copy = self.folder / script  # beside node_modules, where node looks for the driver
        copy.write_bytes((HERE / script).read_bytes())
        command = [self.node, str(copy), *arguments]
        done = subprocess.run(
            command, env={**os.environ, "CHROMIUM": self.chromium}, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)


def find_programs(cache: Path) -> Programs:
    """Skips the test where a program is missing, or npm's registry cannot be reached on the first run."""
    node, npm, chromium = program("node"), program("npm"), program("chromium")
    folder = cache / "-".join(name.rsplit("@", 1)[1] for name in (OHIF, DRIVER))
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "done"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _fetch(npm, folder)
            done.touch()
    return Programs(folder, node, chromium)


def _fetch(npm: str, folder: Path) -> None:
    """The viewer is unpacked without what it depends on: its files are built."""
    commands = (
        [npm, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder), DRIVER],
        [npm, "pack", "--silent", OHIF],
    )
    for command in commands:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"npm cannot fetch {command[-1]}: {done.stderr[-300:]}")
    (archive,) = folder.glob("ohif-app-*.tgz")
    subprocess.run(["tar", "-xf", str(archive)], cwd=folder, check=True)
    archive.unlink()


class _Page(http.server.BaseHTTPRequestHandler):
    """The viewer's files and a way through to DICOMweb under one address: the browser sees a single origin."""

    protocol_version = "HTTP/1.1"
    files: Path
    orthanc: OrthancRest
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith(FORWARDED):
            self._forward()
        elif path == "/app-config.js":
            self._send(200, (HERE / "ohif_config.js").read_bytes(), KINDS[".js"])
        else:
            asked = self.files / path.lstrip("/")
            file = asked if asked.is_file() else self.files / "index.html"
            self._send(200, file.read_bytes(), KINDS.get(file.suffix, "application/octet-stream"))

    def _forward(self) -> None:
        accept = {"Accept": self.headers["Accept"]} if self.headers["Accept"] else {}
        request = urllib.request.Request(self.orthanc.url + self.path, headers=accept)  # noqa: S310 - http on loopback
        try:
            with self.opener.open(request, timeout=60) as reply:
                self._send(reply.status, reply.read(), reply.headers["Content-Type"])
        except urllib.error.HTTPError as error:
            with error:
                self._send(error.code, error.read(), "text/plain")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, text in {"Content-Type": kind, "Content-Length": str(len(body)), **ISOLATION}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes ends its connections as it likes."""


@contextmanager
def viewer(programs: Programs, orthanc: OrthancRest) -> Iterator[str]:
    """The address of OHIF with the studies of this Orthanc, for the length of the block."""
    page = type("_Page", (_Page,), {"files": programs.folder / "package" / "dist", "orthanc": orthanc})
    with _Server((LOOPBACK, 0), page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
