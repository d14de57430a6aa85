"""The physical limits that receivers are held against: what the machine does without any DICOM.

copy     takes a stream from a socket and puts it into files; a process for each connection; nothing is synchronised
loop     writes the same bytes from memory: write, fsync, rename; a thread for each association
strict   the same, and the directory is synchronised as well, as POSIX asks for
"""

import argparse
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from bench.receive_samples import Sample, read_index
from bench.receive_senders import HOST, RAW_HEADER, at_once, step

BUFFER_BYTES = 1 << 18


def copy(port: int, folder: Path) -> None:
    """Serve until killed; the kernel reaps the children, whose time counts as ours only when we do."""
    with socket.create_server((HOST, port), backlog=64) as listener:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if os.fork() == 0:
                listener.close()
                _copy_stream(connection, folder)
                os._exit(0)
            connection.close()


def _copy_stream(connection: socket.socket, folder: Path) -> None:
    buffer = memoryview(bytearray(BUFFER_BYTES))
    header = bytearray(RAW_HEADER.size)
    while connection.recv_into(header, RAW_HEADER.size, socket.MSG_WAITALL) == RAW_HEADER.size:
        left, name = RAW_HEADER.unpack(header)
        descriptor = os.open(folder / name.rstrip(b"\0").decode(), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        while left:
            received = connection.recv_into(buffer, min(left, BUFFER_BYTES))
            if not received:
                return
            os.write(descriptor, buffer[:received])
            left -= received
        os.close(descriptor)
        connection.sendall(b"k")


class Writer:
    """One of the threads of the loop."""

    def __init__(self, folder: Path, samples: Sequence[Sample], directory: int) -> None:
        """Take the bytes into memory.

        Args:
            folder: where the files go; what is being written is beside it.
            samples: what is written.
            directory: descriptor of the folder to synchronise, or -1.
        """
        self.latencies_s: list[float] = []
        self.statuses: list[int] = []
        self.ended = 0.0
        self._folder, self._directory = folder, directory
        self._contents = [(sample.sop_instance_uid, sample.dataset()) for sample in samples]

    def send(self) -> None:
        for name, content in self._contents:
            begun = time.perf_counter()
            unfinished = self._folder.with_name("incoming") / name
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(descriptor, content)
            os.fsync(descriptor)
            os.close(descriptor)
            unfinished.rename(self._folder / name)
            if self._directory >= 0:
                os.fsync(self._directory)
            self.ended = time.perf_counter()
            self.latencies_s.append(self.ended - begun)
            self.statuses.append(0)

    def close(self) -> None:
        """Nothing is open."""


def loop(folder: Path, data: Path, threads: int, count: int, *, strict: bool) -> None:
    """The same steps as the fast sender's (bench.receive_senders), so that it is measured in the same way."""
    folder.with_name("incoming").mkdir()
    directory = os.open(folder, os.O_RDONLY) if strict else -1
    samples = read_index(data)
    at_once([Writer(folder, samples[:threads], directory)], "WARM")
    measured = samples[threads:][:count]
    writers = [Writer(folder, measured[index::threads], directory) for index in range(threads)]
    step("READY")
    at_once(writers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    copier = kinds.add_parser("copy")
    copier.add_argument("port", type=int)
    copier.add_argument("folder", type=Path)
    for name in ("loop", "strict"):
        looper = kinds.add_parser(name)
        looper.add_argument("folder", type=Path)
        looper.add_argument("data", type=Path)
        looper.add_argument("threads", type=int)
        looper.add_argument("count", type=int)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if options.kind == "copy":
        copy(options.port, options.folder)
    else:
        loop(options.folder, options.data, options.threads, options.count, strict=options.kind == "strict")


if __name__ == "__main__":
    main()
