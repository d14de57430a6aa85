"""VolView, a viewer that places segments by position alone, over plain files on loopback."""

import functools
import http.server
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser.case import Case
from tests.browser.npm import Programs
from tests.browser.ohif import ISOLATION
from tests.pacs_servers import LOOPBACK

VOLVIEW = "volview@4.4.1"
OPEN = "?urls=[source.zip,seg.dcm]&names=[source.zip,seg.dcm]"


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""

    def end_headers(self) -> None:
        for name, text in ISOLATION.items():
            self.send_header(name, text)
        super().end_headers()


@contextmanager
def volview(programs: Programs, case: Case, directory: Path) -> Iterator[str]:
    """The address of VolView with a source and its SEG, for the length of the block; `directory` is made."""
    directory.mkdir()
    for part in (programs.package(VOLVIEW) / "dist").iterdir():
        (directory / part.name).symlink_to(part)
    with zipfile.ZipFile(directory / "source.zip", "w") as archive:
        for path in case.source.iterdir():
            archive.write(path, path.name)
    case.result("SEG").save_as(directory / "seg.dcm")
    handler = functools.partial(_Files, directory=str(directory))
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}/{OPEN}"
        finally:
            server.shutdown()
            thread.join()
