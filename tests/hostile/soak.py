"""A running node under very many tries, or very many instances: it must not grow, not die, and not write a traceback."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.chaos.arena import Arena, arena
from tests.chaos.journal import SUCCESS
from tests.chaos.senders import Manners
from tests.chaos.victim import Usage
from tests.chaos.wire import EXPLICIT_LITTLE, VERIFICATION, Connection
from tests.hostile.peers import attempt
from tests.pacs_servers import wait_until

THREADS = 4
STEPS = 20
WARMING_ECHOES = 20
WARM_STEPS = 4
SPARE_MIB, SPARE_THREADS, SPARE_DESCRIPTORS = 48.0, 8, 24
RELEASED_S, INDEXED_S = 90.0, 300.0
TIMEOUTS = "min_free_percent = 0\nresume_free_percent = 0\nacse_timeout_s = 5\nnetwork_timeout_s = 5\n"


@dataclass(slots=True)
class Measured:
    """What the receiving service used, at every twentieth of the way; and what came of the tries."""

    count: int
    usage: list[Usage] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def growth(self) -> str:
        """In what it grew from when it was warm to the end; empty if it did not."""
        warm, end = self.usage[: WARM_STEPS + 1], self.usage[-1]
        spare = {"rss_mib": SPARE_MIB, "threads": SPARE_THREADS, "descriptors": SPARE_DESCRIPTORS}
        grown = [
            f"{what}: {before:.0f} → {getattr(end, what):.0f}"
            for what, more in spare.items()
            if getattr(end, what) > (before := max(getattr(usage, what) for usage in warm)) + more
        ]
        return ", ".join(grown)

    def lines(self) -> list[str]:
        stages = {"at the start": self.usage[0], "after a fifth": self.usage[WARM_STEPS], "at the end": self.usage[-1]}
        names = (("MiB", "rss_mib"), ("threads", "threads"), ("descriptors", "descriptors"), ("processes", "processes"))
        return [
            f"{what}: " + ", ".join(f"{getattr(usage, name):.0f} {stage}" for stage, usage in stages.items())
            for what, name in names
        ]


def tries(directory: Path, seed: int, count: int) -> Measured:
    """So many hostile tries, four at a time; a C-ECHO between them must always succeed."""
    with arena(directory, seed, receive_only=True, receive=TIMEOUTS) as made:
        measured = Measured(count)
        lock = threading.Lock()

        def one(number: int) -> None:
            outcome = attempt(made.victim.address, random.Random(f"{seed}/{number}"))
            with lock:
                measured.outcomes[outcome] += 1

        def step(numbers: range) -> None:
            with ThreadPoolExecutor(THREADS) as pool:
                for _ in pool.map(one, numbers):
                    pass
            _echo(made)

        _steps(made, measured, count, step)
        stored = measured.outcomes["hostile_instance: status 0000H"]
        wait_until(lambda: made.ledger.has(stored), "all that was accepted is in the ledger or in quarantine", INDEXED_S)
        _require_sound(made, measured)
        return measured


def instances(directory: Path, seed: int, count: int) -> Measured:
    """So many valid instances over four associations at a time."""
    manners = Manners(jobs=0.0, duplicates=0.0)
    with arena(directory, seed, receive_only=True, receive=TIMEOUTS) as made:
        measured = Measured(count)
        stock = made.stock(manners)

        def step(numbers: range) -> None:
            stock.release(len(numbers))
            wait_until(lambda: made.journal.count() >= numbers.stop, f"{numbers.stop} instances are acknowledged", INDEXED_S)

        with made.sending(stock, manners, THREADS):
            _steps(made, measured, count, step)
        made.require_settled(INDEXED_S)
        measured.outcomes["acknowledged"] = len(made.journal.acknowledged)
        _require_sound(made, measured)
        return measured


def _steps(made: Arena, measured: Measured, count: int, step: Callable[[range], None]) -> None:
    for _ in range(WARMING_ECHOES):
        _echo(made)
    measured.usage.append(made.victim.usage())
    for number in range(STEPS):
        step(range(number * count // STEPS, (number + 1) * count // STEPS))
        measured.usage.append(made.victim.usage())
    before = measured.usage[0]
    try:
        wait_until(partial(_is_released, made, before), "all is released", RELEASED_S)
    except TimeoutError as error:
        raise AssertionError(f"not released: {before} became {made.victim.usage()}") from error
    measured.usage.append(made.victim.usage())


def _is_released(made: Arena, before: Usage) -> bool:
    now = made.victim.usage()
    return now.threads <= before.threads + SPARE_THREADS and now.descriptors <= before.descriptors + SPARE_DESCRIPTORS


def _echo(made: Arena) -> None:
    with Connection.open(made.victim.address) as connection:
        connection.associate("DICOM-NODE", "SOUND", ((VERIFICATION, (EXPLICIT_LITTLE,)),))
        assert connection.echo(1) == SUCCESS
        connection.release()


def _require_sound(made: Arena, measured: Measured) -> None:
    process = made.victim.node.servers["receive"].process
    assert process is not None
    assert process.poll() is None, "the receiving service died"
    assert "Traceback" not in made.victim.log(), "a traceback is in its log"
    assert not measured.growth(), f"it grew: {measured.growth()}"
