"""A receiver in a process of its own, to be killed: python receiver_program.py SPOOL PORT."""

import signal
import sys
import threading
from pathlib import Path

from dicom_node.receive import Backpressure, DiskGuard, Receiver, ReceiverSettings, Spool, SpoolStore


def main(spool_directory: str, port: str) -> None:
    settings = ReceiverSettings("NODE", host="127.0.0.1", port=int(port))
    spool = Spool(Path(spool_directory))
    spool.drop_leftovers()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    receiver = Receiver(
        settings, SpoolStore(spool, Backpressure(DiskGuard(spool.root, settings.watermarks), 1000), lambda stored: None)
    ).start()
    stop.wait()
    receiver.stop(10.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
