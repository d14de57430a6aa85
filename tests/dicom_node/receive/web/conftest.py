"""A web receiver on a free port, its spool in the test's directory."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dicom_node.receive import Backpressure, DiskGuard, ReceiverSettings, Spool, SpoolStore, Watermarks
from dicom_node.receive.web import WebReceiver, WebReceiverSettings

NO_WATERMARKS = Watermarks(0, 0.0, 0, 0.0)
StartWeb = Callable[..., WebReceiver]


@pytest.fixture
def start_web(spool: Spool) -> Iterator[StartWeb]:
    """Starts web receivers on the test's spool; keywords are the web's settings, `receive` the receiver's, `on_stored`."""
    running: list[WebReceiver] = []

    def start(on_stored: Any = lambda stored: None, receive: Any = None, **web: Any) -> WebReceiver:
        settings = ReceiverSettings("NODE", **{"watermarks": NO_WATERMARKS, **(receive or {})})
        store = SpoolStore(spool, Backpressure(DiskGuard(spool.root, settings.watermarks), settings.max_unindexed), on_stored)
        running.append(WebReceiver(settings, WebReceiverSettings(**{"host": "127.0.0.1", **web}), store).start())
        return running[-1]

    yield start
    for receiver in running:
        receiver.begin_stop()  # its thread ends a little later, and holds up no test


@pytest.fixture
def web(start_web: StartWeb) -> WebReceiver:
    return start_web()
