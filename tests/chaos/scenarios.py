"""All scenarios by name, with the sizes of a short and of a long run."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.chaos import crowds, disks, kills, power
from tests.chaos.arena import Outcome


class Scenario(NamedTuple):
    """How to run it.

    Attributes:
        run: with a directory, a seed and a size; raises an AssertionError that names the broken promise.
        short, long: sizes; what they count is the scenario's own matter.
        needs_mount: small file systems are made for it.
    """

    run: Callable[[Path, int, int], Outcome]
    short: int
    long: int
    needs_mount: bool = False


SCENARIOS = {
    "kill": Scenario(kills.kill, 6, 300),
    "aborts": Scenario(kills.aborts, 90, 3000),
    "duplicates": Scenario(kills.duplicates, 60, 2000),
    "disk-full": Scenario(disks.disk_full, 1, 12, needs_mount=True),
    "ledger-full": Scenario(disks.ledger_full, 1, 12, needs_mount=True),
    "power-cut": Scenario(power.power_cut, 3, 100, needs_mount=True),
    "slow-loris": Scenario(crowds.slow_loris, 1, 20),
    "idle": Scenario(crowds.idle, 40, 500),
}
