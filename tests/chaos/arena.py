"""What every scenario needs: a node, its disk and ledger in view, a journal of what it acknowledged, a PACS for results."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.answering_scp import AnsweringScp, answering_scp
from tests.chaos.journal import NO_ANSWER, Journal
from tests.chaos.senders import Manners, Stock, sending
from tests.chaos.spooled import Spooled
from tests.chaos.verdict import LedgerView, job_problems, ledger_problems, require, require_soon, result_problems
from tests.chaos.victim import Victim
from tests.node_process import BODY_AIR, Target, node

RESULT_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("66.4", "88.11", "88.22", "88.33", "88.34", "7"))
NO_WATERMARKS = "min_free_bytes = 0\nmin_free_percent = 0\nresume_free_bytes = 0\nresume_free_percent = 0\n"
QUIET_S = 1.0
PROCESSES = 2


@dataclass(slots=True)
class Outcome:
    """What a scenario did, for the report."""

    scenario: str
    seed: int
    happened: str
    attempts: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    refused: int = 0
    repeated: int = 0
    jobs: int = 0
    remarks: list[str] = field(default_factory=list)


class Arena:
    """A node under a seed."""

    def __init__(self, directory: Path, seed: int, victim: Victim, pacs: AnsweringScp | None) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.victim = victim
        self.pacs = pacs
        self.journal = Journal(directory / "journal.jsonl")
        self.spooled = Spooled(victim.node.state)
        self.ledger = LedgerView(victim.node.state)
        self._pause = threading.Event()

    def stock(self, manners: Manners, name: str = "1") -> Stock:
        return Stock(f"{self.seed % 10**9}.{name}", self.seed, manners)

    @contextmanager
    def sending(self, stock: Stock, manners: Manners, count: int = 4) -> Iterator[None]:
        """Senders for the length of the block; at its end all is sent and acknowledged."""
        with sending(self.victim.address, stock, self.journal, self.seed, manners, count):
            yield

    def moment(self, longest_s: float) -> None:
        """A random moment."""
        self._pause.wait(self.chance.uniform(0.0, longest_s))

    def require_kept(self) -> None:
        """At any moment, whatever lives: see `Spooled.problems`."""
        require(self.spooled.problems(self.journal))

    def require_settled(self, deadline_s: float = 120.0) -> None:
        """Once all is sent: disk and ledger agree; where a PACS is, jobs and results too."""
        require([] if self.journal.acknowledged else ["nothing was acknowledged"])
        self.require_kept()
        require_soon(self._settled, deadline_s)
        for service in self.victim.services:
            require([f"{service} wrote a traceback"] if "Traceback" in self.victim.log(service) else [])

    def _settled(self) -> Iterator[str]:
        if not self.ledger.has(len(self.journal.snapshot())):
            yield "instances wait for their row"
        elif self.pacs is not None and not self.ledger.is_quiet():
            yield "series, jobs or deliveries wait"
        else:
            yield from ledger_problems(self.spooled, self.ledger, self.journal)
            if self.pacs is not None:
                yield from job_problems(self.ledger, self.journal)
                yield from result_problems(self.ledger, self.pacs)

    def outcome(self, scenario: str, happened: str, *remarks: str) -> Outcome:
        return Outcome(
            scenario=scenario,
            seed=self.seed,
            happened=happened,
            attempts=sum(self.journal.statuses.values()),
            acknowledged=len(self.journal.acknowledged),
            unanswered=self.journal.count(NO_ANSWER),
            refused=self.journal.refused(),
            repeated=self.journal.repeated,
            jobs=len(self.ledger.jobs()) if self.pacs is not None else 0,
            remarks=list(remarks),
        )


@contextmanager
def arena(
    directory: Path, seed: int, *, receive_only: bool = False, receive: str = NO_WATERMARKS, start: bool = True
) -> Iterator[Arena]:
    """A node for the length of the block.

    Args:
        directory: holds everything.
        seed: of all that is random.
        receive_only: without processing and PACS.
        receive: keys of [receive].
        start: False: the caller starts it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    more = f"\n[receive]\nprocesses = {PROCESSES}\n{receive}"
    if receive_only:
        with node(directory / "node", engines=BODY_AIR, more=more, start=False) as made:
            yield from _arena(directory, seed, Victim(made, ("receive",)), None, start=start)
        return
    with answering_scp(sop_class_uids=RESULT_CLASSES) as pacs:
        target = Target("pacs", pacs.ae_title, pacs.port)
        with node(directory / "node", target, engines=BODY_AIR, quiet_s=QUIET_S, more=more, start=False) as made:
            yield from _arena(directory, seed, Victim(made), pacs, start=start)


def _arena(directory: Path, seed: int, victim: Victim, pacs: AnsweringScp | None, *, start: bool) -> Iterator[Arena]:
    if start:
        victim.start()
    made = Arena(directory, seed, victim, pacs)
    try:
        yield made
    finally:
        made.journal.close()
