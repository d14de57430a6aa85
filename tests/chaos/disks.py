"""Full disks, on small file systems of their own: A700, never a wrong success, and all is well again when there is room."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.arena import NO_WATERMARKS, Arena, Outcome, arena
from tests.chaos.senders import OUT_OF_RESOURCES, Manners
from tests.pacs_servers import wait_until

MEBIBYTE = 1 << 20
STATE_MIB, LEDGER_MIB, ROOM_MIB = 8, 2, 512
WATERMARKS = (
    f"min_free_bytes = {3 * MEBIBYTE}\nmin_free_percent = 0\nresume_free_bytes = {6 * MEBIBYTE}\nresume_free_percent = 0\n"
)
FULL_S = 90.0
REFUSALS = 6
MANNERS = Manners(aborts=0.02, duplicates=0.02)


def cannot_mount() -> str:
    """Why no small file system can be made here; empty if one can."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        try:
            with disk(Path(folder) / "disk", 1):
                return ""
        except (OSError, subprocess.CalledProcessError) as error:
            return f"a small tmpfs cannot be mounted ({error})"


@contextmanager
def disk(directory: Path, size_mib: int) -> Iterator[None]:
    """A file system of that size at the directory, for the length of the block."""
    directory.mkdir(parents=True)
    options = f"size={size_mib}m,mode=0750"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "dicom-node-chaos", str(directory)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True, capture_output=True)


def grow(directory: Path, size_mib: int) -> None:
    """Make room."""
    subprocess.run(["mount", "-o", f"remount,size={size_mib}m", str(directory)], check=True, capture_output=True)


def disk_full(directory: Path, seed: int, rounds: int) -> Outcome:
    """Spool and ledger on one disk that fills up, with watermarks and without, with a kill meanwhile; then it has room."""
    watermarks = seed % 2 == 0
    return _full(
        "disk full",
        directory,
        seed,
        "with watermarks" if watermarks else "to the last byte",
        lambda state: [(state, STATE_MIB)],
        receive=WATERMARKS if watermarks else NO_WATERMARKS,
        refusals=REFUSALS * rounds,
    )


def ledger_full(directory: Path, seed: int, rounds: int) -> Outcome:
    """The ledger's disk is full, the spool's is not: rows wait, or senders hear A700; then it has room."""
    return _full(
        "ledger disk full",
        directory,
        seed,
        "spool on another disk",
        lambda state: [(state, LEDGER_MIB), (state / "spool", ROOM_MIB)],
        receive=NO_WATERMARKS + "max_unindexed = 100\n",
        acknowledged=100 * rounds,
    )


def _full(
    name: str,
    directory: Path,
    seed: int,
    how: str,
    disks: Callable[[Path], list[tuple[Path, int]]],
    *,
    receive: str,
    refusals: int = 0,
    acknowledged: int = 0,
) -> Outcome:
    with arena(directory, seed, receive_only=True, receive=receive, start=False) as made:
        state, *others = disks(made.victim.node.state)
        with disk(*state), _disks(others):
            made.victim.start()
            if acknowledged:
                _ballast(made.victim.node.state)
            _fill(made, refusals, acknowledged, state[0])
            made.require_settled(120.0)
            strange = [f"{status:04X}H" for status in made.journal.refusals() if status not in OUT_OF_RESOURCES]
            made.victim.kill_service("receive")
            made.require_kept()
            outcome = made.outcome(name, how, *strange)
            made.victim.start()  # to be stopped before its disk is taken away
            made.victim.node.stop()
    return outcome


def _fill(made: Arena, refusals: int, acknowledged: int, state: Path) -> None:
    """Send until the node has met the full disk often enough, kill it there, send on, then make room."""
    manners = MANNERS
    stock = made.stock(manners)
    with made.sending(stock, manners):
        stock.release(100_000)
        _meet(made, refusals, acknowledged)
        made.victim.kill("receive", made.chance)
        made.require_kept()
        _meet(made, 2 * refusals, 2 * acknowledged)
        made.require_kept()
        stock.withhold()
        grow(state, ROOM_MIB)


def _meet(made: Arena, refusals: int, acknowledged: int) -> None:
    def is_met() -> bool:
        refused = made.journal.refused()
        return refused >= refusals if refusals else refused >= REFUSALS or len(made.journal.acknowledged) >= acknowledged

    wait_until(is_met, "the full disk is met", FULL_S)


@contextmanager
def _disks(disks: list[tuple[Path, int]]) -> Iterator[None]:
    if not disks:
        yield
        return
    with disk(*disks[0]), _disks(disks[1:]):
        yield


def _ballast(directory: Path) -> None:
    """Fill a disk to its last byte."""
    with (directory / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return
