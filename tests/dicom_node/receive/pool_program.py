"""A receiver pool in a process of its own, to be killed: python -m tests.dicom_node.receive.pool_program SPOOL PORT."""

import sys
import threading
from pathlib import Path

from dicom_node.node.receiving import WORKER
from dicom_node.receive import ReceiverSettings
from dicom_node.receive.messages import Orders
from dicom_node.receive.pool import ReceiverPool


def main(spool: str, port: str) -> None:
    settings = ReceiverSettings("NODE", host="127.0.0.1", port=int(port))
    orders = Orders(settings, Path(spool), "error", "text", hears_commitments=False)
    ReceiverPool(orders, WORKER, 2, lambda stored: None).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
