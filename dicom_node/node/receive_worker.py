"""The program of a receiving worker: `python -m dicom_node.node.receive_worker PIPE CONNECTIONS`, started by its parent."""

from dicom_node.node import without_codecs, without_rich  # noqa: F401  # first

# isort: split
import gc
import socket
import sys
from multiprocessing.connection import Connection

import structlog

from dicom_node.node.logs import configure_logs
from dicom_node.receive.worker import Worker

log = structlog.get_logger()


def main(pipe_descriptor: str, connections_descriptor: str) -> int:
    """Run a worker. Its exit status: 1 if the spool cannot be used; its parent tries again."""
    pipe = Connection(int(pipe_descriptor))
    try:
        orders = pipe.recv()
    except (EOFError, OSError):  # the parent ended meanwhile
        return 0
    configure_logs(orders.log_level, orders.log_format)
    try:
        worker = Worker(orders, pipe, socket.socket(fileno=int(connections_descriptor)))
    except OSError as error:
        log.error("the spool cannot be used", errno=error.errno, alarm=True)
        return 1
    gc.collect()
    gc.freeze()  # what is loaded by now stays; no collection need look at it again
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
