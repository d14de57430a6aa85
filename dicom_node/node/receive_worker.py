"""The program of a receiving worker: `python -m dicom_node.node.receive_worker PIPE CONNECTIONS`, started by its parent."""

from dicom_node.node import without_codecs  # noqa: F401  # first

# isort: split
import socket
import sys
from multiprocessing.connection import Connection

from dicom_node.node.logs import configure_logs
from dicom_node.receive.worker import Worker


def main(pipe_descriptor: str, connections_descriptor: str) -> None:
    """Run a worker."""
    pipe = Connection(int(pipe_descriptor))
    try:
        orders = pipe.recv()
    except (EOFError, OSError):  # the parent ended meanwhile
        return
    configure_logs(orders.log_level, orders.log_format)
    Worker(orders, pipe, socket.socket(fileno=int(connections_descriptor))).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
