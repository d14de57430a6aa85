"""Power cuts: the file system of the state stops between two writes, and what was not synchronised is gone.

`FS_IOC_SHUTDOWN` (ext4, XFS: made for testing exactly this) freezes what is on the device: neither dirty pages nor the log are
written any more. The device is then mounted anew, its journal replayed, and the node started over what is left.
"""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.arena import NO_WATERMARKS, Arena, Outcome, arena
from tests.chaos.senders import Manners
from tests.chaos.spooled import Spooled
from tests.chaos.verdict import require_soon

FS_IOC_SHUTDOWN = 0x8004587D
WITHOUT_THE_LOG = 2  # *_GOING_FLAGS_NOLOGFLUSH
IMAGE_MIB = 384
KINDS = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
EACH_CUT = 80
LONGEST_MOMENT_S = 1.0
SWEEP_S = 30.0
MANNERS = Manners(jobs=0.0, duplicates=0.05, fragments=(16_384, 1 << 20))


def cannot_cut() -> str:
    """Why no power cut can be made here; empty if one can."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        try:
            device = Device(Path(folder) / "image", Path(folder) / "disk", "ext4")
            with device.mounted():
                device.cut()
        except (OSError, subprocess.CalledProcessError) as error:
            return f"a file system of a test's own cannot be mounted and shut down ({error})"
    return ""


class Device:
    """A file system in a file, whose power can be cut."""

    def __init__(self, image: Path, directory: Path, kind: str) -> None:
        self._image = image
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(IMAGE_MIB << 20)
        subprocess.run([*KINDS[kind], str(image)], check=True, capture_output=True)

    def mount(self) -> None:
        """Mount; a journal is replayed."""
        subprocess.run(["mount", "-o", "loop", str(self._image), str(self._directory)], check=True, capture_output=True)

    def unmount(self) -> None:
        subprocess.run(["umount", str(self._directory)], check=True, capture_output=True)

    @contextmanager
    def mounted(self) -> Iterator[None]:
        self.mount()
        try:
            yield
        finally:
            self.unmount()

    def cut(self) -> None:
        """The power goes: nothing reaches the device from now on."""
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_THE_LOG))
        finally:
            os.close(descriptor)


def power_cut(directory: Path, seed: int, rounds: int) -> Outcome:
    """The power is cut at random moments while four senders send; then it is back."""
    kind = list(KINDS)[seed % 2] if rounds > 1 else "ext4"
    with _powered(directory, seed, kind) as (made, device):
        stock = made.stock(MANNERS)
        with made.sending(stock, MANNERS):
            for _ in range(rounds):
                stock.release(EACH_CUT)
                made.moment(LONGEST_MOMENT_S)
                _cut(made, device)
                made.victim.start()  # what the cut tore is never acknowledged, and goes with the first sweep
                require_soon(lambda: Spooled(made.victim.node.state).problems(made.journal), SWEEP_S)
        made.spooled = Spooled(made.victim.node.state)
        made.require_settled()
        return made.outcome("power-cut", f"{rounds} cuts of {kind}")


def loses_without_synchronising(directory: Path, seed: int) -> bool:
    """The same with `durable = false`: whether something acknowledged is gone. If not, the cut cuts nothing."""
    with _powered(directory, seed, "ext4", "durable = false\n") as (made, device):
        stock = made.stock(MANNERS)
        with made.sending(stock, MANNERS):
            stock.release(EACH_CUT)
            while len(made.journal.snapshot()) < EACH_CUT // 2:
                made.moment(LONGEST_MOMENT_S / 10)
            _cut(made, device)
            lost = list(Spooled(made.victim.node.state).problems(made.journal))
            made.victim.start()
    return bool(lost)


@contextmanager
def _powered(directory: Path, seed: int, kind: str, more: str = "") -> Iterator[tuple[Arena, Device]]:
    with arena(directory, seed, receive_only=True, receive=NO_WATERMARKS + more, start=False) as made:
        device = Device(directory / "image", made.victim.node.state, kind)
        with device.mounted():
            made.victim.start()
            try:
                yield made, device
            finally:
                made.victim.node.stop()


def _cut(made: Arena, device: Device) -> None:
    device.cut()
    made.victim.kill_service("receive")
    device.unmount()
    device.mount()
