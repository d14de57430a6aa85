"""`python -m tests.chaos`: every scenario with a seed of yours, and a table of what happened."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.chaos.arena import Outcome
from tests.chaos.disks import cannot_mount
from tests.chaos.scenarios import SCENARIOS

KILLS = SCENARIOS["kill"].long
HEAD = """# Chaos

Written by `make chaos`. Each scenario runs `dicom-node serve` in processes of its own. Senders keep their own journal of what
was acknowledged (`tests/chaos/journal.py`). After each blow the disk is compared with the journal: everything acknowledged is
there bit for bit, and nothing is visible that was not sent so. Once all has settled, ledger, jobs and PACS are compared, too:
one row and one file for each instance, nothing left under incoming or in quarantine, one job on all images of each whole
series, one current result of each kind, delivered (`tests/chaos/verdict.py`). Refused for now: A7xx, or
an association rejected for the moment.

| scenario | seed | what happened | sent | acknowledged | unanswered | refused for now | sent again | jobs | seconds | verdict |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def main(arguments: Sequence[str] | None = None) -> int:
    told = _parser().parse_args(arguments)
    rows, measured, broken = [], [], 0
    for name in SCENARIOS if told.scenario == "all" else [told.scenario]:
        row, remarks, kept = _run(name, told)
        rows.append(row)
        measured += remarks
        broken += not kept
        print(row, *remarks, sep="\n", flush=True)
    if told.report:
        told.report.write_text(HEAD + "\n".join(rows) + "\n\n" + "\n".join(measured) + "\n", encoding="utf-8")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of all that is random; the moments of a machine are not")
    parser.add_argument("--scenario", choices=["all", *SCENARIOS], default="all")
    parser.add_argument(
        "--rounds", type=int, default=KILLS, help=f"kills [{KILLS}]; the other scenarios grow with their number"
    )
    parser.add_argument("--size", type=int, help="of this scenario: kills, instances, peers …; in place of --rounds")
    parser.add_argument("--report", type=Path, help="write a table to this file")
    parser.add_argument("--keep", action="store_true", help="keep the files of scenarios that went well, too")
    return parser


def _run(name: str, told: argparse.Namespace) -> tuple[str, list[str], bool]:
    """A row of the table, remarks below it, and whether all promises were kept."""
    scenario = SCENARIOS[name]
    reason = cannot_mount() if scenario.needs_mount else ""
    if reason:
        return f"| {name} | {told.seed} | {reason} |" + " |" * 7 + " not run |", [], True
    size = told.size or max(scenario.short, round(told.rounds / KILLS * scenario.long))
    directory, begun = Path(tempfile.mkdtemp(prefix=f"chaos-{name}-")), time.monotonic()
    try:
        outcome = scenario.run(directory, told.seed, size)
    except (AssertionError, TimeoutError, RuntimeError) as error:
        print(f"{name}, seed {told.seed}, size {size}: {error}\nits files: {directory}", file=sys.stderr, flush=True)
        return f"| {name} | {told.seed} | size {size} |" + " |" * 7 + " **broken** |", [], False
    if not told.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return _row(outcome, time.monotonic() - begun), [*_remarks(outcome)], True


def _row(outcome: Outcome, seconds: float) -> str:
    numbers = (
        outcome.attempts,
        outcome.acknowledged,
        outcome.unanswered,
        outcome.refused,
        outcome.repeated,
        outcome.jobs or "",
        round(seconds),
    )
    cells = (outcome.scenario, outcome.seed, outcome.happened, *numbers, "kept")
    return "| " + " | ".join(map(str, cells)) + " |"


def _remarks(outcome: Outcome) -> Iterator[str]:
    yield from (f"- {outcome.scenario}: {remark}" for remark in outcome.remarks)


if __name__ == "__main__":
    sys.exit(main())
