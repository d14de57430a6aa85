"""Receiving over loopback: the node beside DCMTK, Orthanc, pynetdicom and the limits of the machine, in one run, as ratios.

`make bench-receive` prints and saves bench/results/receive.json and receive.png. In each round every receiver is started
anew under every load, in an order that is shuffled; ratios are of measurements of the same round. Every file that a
receiver has kept is compared with what was sent, outside of what is timed; one that is missing or changed fails the run.
"no delay" is TCP_NODELAY: without it DCMTK and Orthanc take 43 ms for each instance of a fast sender.
"""

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.receive_cases import Case, all_cases, needed, quick_cases
from bench.receive_compare import Mismatch
from bench.receive_data import make_data
from bench.receive_measure import Measurement, SenderFailed, measure
from bench.receive_peers import PEERS, ReceiverFailed
from bench.receive_tables import answer, as_text, draw, file_system

RESULTS = Path(__file__).with_name("results")
IN_MEMORY = {"tmpfs", "ramfs"}
NEEDED_BYTES = 6 << 30


class Benchmark:
    """The cases, what was measured of them, and what went wrong."""

    def __init__(self, cases: Sequence[Case], directory: Path, seed: int = 0) -> None:
        self.cases = cases
        self.runs: dict[str, dict[int, Measurement]] = defaultdict(dict)
        self.failures: list[str] = []
        self._directory = directory
        self._random = random.Random(seed)

    def run(self, rounds: int) -> Iterator[dict[str, Any]]:
        """Measure round after round; everything that is known after each."""
        make_data(self._directory / "data", needed(self.cases))
        for turn in range(rounds):
            order = self._random.sample(self.cases, len(self.cases))
            for number, case in enumerate(order, 1):
                print(
                    f"round {turn + 1} of {rounds}, {number} of {len(order)}: {self._measure(case, turn, number)}", flush=True
                )
            yield answer(self.runs, self.cases, self._directory, self.failures)

    def _measure(self, case: Case, turn: int, number: int) -> str:
        begun = time.monotonic()
        try:
            done = measure(case, self._directory / f"round-{turn + 1}" / f"{number}", self._directory / "data")
        except (Mismatch, ReceiverFailed, SenderFailed, OSError) as failure:
            self.failures.append(f"{case.name}: {failure}")
            return f"FAILED: {case.name}: {failure}"
        self.runs[case.name][turn] = done
        row = f" ({done.cpu_indexed_ms:.2f} with its row)" if PEERS[case.receiver].is_node else ""
        cpu = f"CPU {done.cpu_ms:.2f} ms{row}"
        took = f"{time.monotonic() - begun:.1f} s"
        return (
            f"{case.name}: {done.per_s:,.0f}/s, {cpu}, {done.peak_mb:.0f} MB; {done.identical + done.equal} files right; {took}"
        )


def chosen(only: str, *, quick: bool) -> list[Case]:
    """The cases to run: those asked for whose programs are there; what is left out is said."""
    cases = [case for case in (quick_cases() if quick else all_cases()) if re.search(only, case.name)]
    if any(case.sender == "storescu" for case in cases) and shutil.which("storescu") is None:
        print("left out, because it is not installed: storescu")
        cases = [case for case in cases if case.sender != "storescu"]
    for missing in [name for name, peer in PEERS.items() if not peer.installed()]:
        print(f"left out, because it is not installed: {missing}")
        cases = [case for case in cases if case.receiver != missing]
    return cases


def disk_directory() -> Path:
    """A folder for temporary files that is on a disk: in memory nothing would have to be synchronised."""
    for candidate in (Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()):  # noqa: S108 - a new folder in it
        if file_system(candidate) not in IN_MEMORY and shutil.disk_usage(candidate).free > NEEDED_BYTES:
            return candidate
    sys.exit("no folder on a disk with 6 GB of free space was found: name one with --directory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=0, help="default: 5, or 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="few receivers, a quarter of the instances: a taste, not a result")
    parser.add_argument("--only", default="", help="regular expression of the cases to run, such as 'ct fast x4$'")
    parser.add_argument("--list", action="store_true", help="print the cases and run nothing")
    parser.add_argument("--directory", type=Path, help="on the disk that is to be measured; default: for temporary files")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the cases")
    parser.add_argument("--results", type=Path, help="where to save; default: bench/results, with --quick or --only nowhere")
    options = parser.parse_args()
    cases = chosen(options.only, quick=options.quick)
    if options.list:
        print("\n".join(case.name for case in cases))
        return
    if not cases:
        sys.exit("no case is left")
    results = options.results or (None if options.quick or options.only else RESULTS)
    parent = options.directory or disk_directory()
    if file_system(parent) in IN_MEMORY:
        print(f"{parent} is in memory: what is said of durable receivers means nothing")
    folder = Path(tempfile.mkdtemp(prefix="bench-receive-", dir=parent))
    try:
        benchmark = Benchmark(cases, folder, options.seed)
        for found in benchmark.run(options.rounds or (1 if options.quick else 5)):
            if results:
                _save(found, results)
        print("\n" + as_text(found))
        if benchmark.failures:
            sys.exit("\nFAILED\n" + "\n".join(benchmark.failures))
    finally:
        shutil.rmtree(folder)


def _save(found: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "receive.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    draw(found, folder / "receive.png")


if __name__ == "__main__":
    main()
