"""`python -m tests.hostile`: the soak: hostile tries, then valid instances, against a running node; what it used is printed."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.hostile.soak import Measured, instances, tries


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tries", type=int, default=100_000, help="hostile connections; 0 leaves them out")
    parser.add_argument("--instances", type=int, default=50_000, help="valid instances; 0 leaves them out")
    told = parser.parse_args(arguments)
    for what, run, count in (("hostile tries", tries, told.tries), ("valid instances", instances, told.instances)):
        if not count:
            continue
        directory, begun = Path(tempfile.mkdtemp(prefix="soak-")), time.monotonic()
        try:
            measured = run(directory, told.seed, count)
        except (AssertionError, TimeoutError) as error:
            print(f"{what}, seed {told.seed}: {error}\nits files: {directory}", file=sys.stderr)
            return 1
        shutil.rmtree(directory, ignore_errors=True)
        _print(what, measured, time.monotonic() - begun)
    return 0


def _print(what: str, measured: Measured, seconds: float) -> None:
    print(f"{measured.count} {what} in {seconds:.0f} s", *measured.lines(), sep="\n  ")
    for outcome, count in sorted(measured.outcomes.items()):
        print(f"  {count:>8}  {outcome}")


if __name__ == "__main__":
    sys.exit(main())
