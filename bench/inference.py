"""From int16 to the mask on the source's grid: MONAI's bundle pipeline beside engine.runtime, the same weights, as ratios.

`make bench-inference` prints and saves bench/results/inference.json and inference.png. 300 slices of 512 x 512, a U-Net of
4.8 million parameters at 1.5 mm, one thread. Each pipeline runs in a process of its own, in turn, round after round; seconds
are CPU seconds of the process, so that others on the machine do not count. Loading the file is measured and left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bench.inference_pipelines import prepare, run_pipeline

RESULTS = Path(__file__).with_name("results")
COMPARED = ("monai", "ours", "network")
EXPLAINING = ("monai, one pass", "ours, float32")
"""Run once: what the windows and what bf16 change in the mask."""
STEPS = ("resample", "network", "back")
Runs = dict[str, list[dict[str, Any]]]


def measure(rounds: int, folder: Path) -> Iterator[Runs]:
    """Every pipeline once in each round, each in its own process; what is known after each round."""
    runs: Runs = {name: [] for name in (*COMPARED, *EXPLAINING)}
    for turn in range(rounds):
        for name in (*COMPARED, *EXPLAINING) if turn == 0 else COMPARED:
            runs[name].append(_in_own_process(name, folder))
            steps = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in runs[name][-1]["steps_cpu_s"].items())
            print(f"round {turn + 1}, {name}: {steps}; {runs[name][-1]['peak_mb']:.0f} MB", flush=True)
        yield runs


def _in_own_process(name: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "bench.inference", "--pipeline", name, "--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parent.parent)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def summary(runs: Runs, folder: Path) -> dict[str, Any]:
    """Medians, their ratios and the agreement of the masks."""
    steps = {name: _median_steps(runs[name]) for name in runs}
    total = {name: sum(steps[name].get(step, 0.0) for step in STEPS) for name in runs}
    peak = {name: statistics.median(run["peak_mb"] for run in runs[name]) for name in ("monai", "ours")}
    paired = [_total(theirs) / _total(ours) for theirs, ours in zip(runs["monai"], runs["ours"], strict=True)]
    return {
        "cpu_s": {name: round(seconds, 2) for name, seconds in total.items()},
        "steps_cpu_s": {name: {step: round(s, 2) for step, s in steps[name].items()} for name in runs},
        "share_of_steps": {
            name: {step: round(steps[name][step] / total[name], 3) for step in STEPS} for name in ("monai", "ours")
        },
        "peak_mb": {name: round(mb) for name, mb in peak.items()},
        "imported_mb": round(statistics.median(run["imported_mb"] for run in runs["ours"])),
        "times_faster": round(statistics.median(paired), 1),
        "times_faster_range": [round(min(paired), 1), round(max(paired), 1)],
        "times_less_memory": round(peak["monai"] / peak["ours"], 1),
        "end_to_end_over_network_alone": round(total["ours"] / total["network"], 2),
        "dice": {
            "ours and monai": _dice(folder, "ours", "monai"),
            "ours and monai without its windows": _dice(folder, "ours", "monai, one pass"),
            "ours in float32 and monai without its windows": _dice(folder, "ours, float32", "monai, one pass"),
            "monai with and without its windows": _dice(folder, "monai", "monai, one pass"),
        },
        "rounds": len(runs["ours"]),
    }


def _total(run: dict[str, Any]) -> float:
    return float(sum(run["steps_cpu_s"].get(step, 0.0) for step in STEPS))


def _median_steps(runs: list[dict[str, Any]]) -> dict[str, float]:
    return {step: statistics.median(run["steps_cpu_s"][step] for run in runs) for step in runs[0]["steps_cpu_s"]}


def _dice(folder: Path, first: str, second: str) -> float:
    one, other = (np.unpackbits(np.load(folder / f"{name}.npy")) for name in (first, second))
    both, total = int(np.count_nonzero(one & other)), int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return round(2 * both / total, 5)


def draw(answer: dict[str, Any], file: Path) -> None:
    """Seconds per step and peak memory, as bars."""
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    seconds, memory = figure.subplots(1, 2, width_ratios=(3, 1))
    names = ("network", "ours", "monai")
    left = np.zeros(len(names))
    for step in STEPS:
        width = np.array([answer["steps_cpu_s"][name].get(step, 0.0) for name in names])
        seconds.barh(names, width, left=left, label=step)
        left += width
    seconds.set_xlabel("CPU seconds, one thread")
    seconds.set_title(f"{answer['times_faster']} times faster")
    seconds.legend()
    memory.barh(names[1:], [answer["peak_mb"][name] / 1000 for name in names[1:]], color="grey")
    memory.set_xlabel("peak memory, GB")
    memory.set_title(f"{answer['times_less_memory']} times less")
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=RESULTS / "inference", help="where network, CT and masks are kept")
    parser.add_argument("--pipeline", default="", help="run this one alone, in this process")
    options = parser.parse_args()
    if options.pipeline:
        print(json.dumps(run_pipeline(options.pipeline, options.folder)))
        return
    prepare(options.folder)
    for runs in measure(options.rounds, options.folder):
        answer = summary(runs, options.folder)
        (RESULTS / "inference.json").write_text(json.dumps(answer, indent=2) + "\n")
        draw(answer, RESULTS / "inference.png")
    print((RESULTS / "inference.json").read_text())


if __name__ == "__main__":
    main()
