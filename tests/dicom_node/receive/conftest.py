"""A receiver on a free port, its spool in the test's directory."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node.receive import Backpressure, DiskGuard, Receiver, ReceiverSettings, Spool, SpoolStore, Watermarks

NO_WATERMARKS = Watermarks(0, 0.0, 0, 0.0)
StartReceiver = Callable[..., Receiver]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def streaming() -> bool:
    """Whether data goes from the socket to the file; a module that means both ways has a parametrised one."""
    return True


@pytest.fixture
def start_receiver(spool: Spool, streaming: bool) -> Iterator[StartReceiver]:
    """Starts receivers on the test's spool; keywords are settings, `on_stored` and `on_commitment`."""
    running: list[Receiver] = []

    def start(on_stored: Any = lambda stored: None, on_commitment: Any = None, **settings: Any) -> Receiver:
        listening = {"ae_title": "NODE", "host": "127.0.0.1", "port": 0}
        chosen: Any = {**listening, "watermarks": NO_WATERMARKS, "streaming": streaming, **settings}
        told = ReceiverSettings(**chosen)
        store = SpoolStore(spool, Backpressure(DiskGuard(spool.root, told.watermarks), told.max_unindexed), on_stored)
        running.append(Receiver(told, store, on_commitment).start())
        return running[-1]

    yield start
    for receiver in running:
        receiver.stop()


@pytest.fixture
def receiver(start_receiver: StartReceiver) -> Receiver:
    return start_receiver()
