"""A web receiver in a process of its own, to be watched and killed: python web_program.py SPOOL."""

import signal
import sys
import threading
from pathlib import Path

from dicom_node.receive import Backpressure, DiskGuard, ReceiverSettings, Spool, SpoolStore, Watermarks
from dicom_node.receive.web import WebReceiver, WebReceiverSettings


def main(spool_directory: str) -> None:
    settings = ReceiverSettings("NODE", watermarks=Watermarks(0, 0.0, 0, 0.0))
    spool = Spool(Path(spool_directory))
    spool.drop_leftovers()
    store = SpoolStore(spool, Backpressure(DiskGuard(spool.root, settings.watermarks), 1000), lambda stored: None)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    receiver = WebReceiver(settings, WebReceiverSettings("127.0.0.1"), store).start()
    sys.stderr.write(f"{receiver.address[1]}\n")
    stop.wait()
    receiver.stop(10.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
