"""OHIF, a viewer that radiologists use, over Orthanc's DICOMweb, in headless Chromium, all of it on loopback."""

import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser.npm import HERE, Programs
from tests.pacs_servers import LOOPBACK, OrthancRest

OHIF = "@ohif/app@3.13.2"
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
    page = type("_Page", (_Page,), {"files": programs.package(OHIF) / "dist", "orthanc": orthanc})
    with _Server((LOOPBACK, 0), page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
