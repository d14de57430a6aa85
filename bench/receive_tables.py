"""What was measured as tables, as JSON and as a picture."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from bench.receive_cases import STOCK, Case
from bench.receive_measure import Measurement
from bench.receive_peers import PEERS
from bench.receive_ratios import Runs, computed, spread

COUNTED = ("identical", "equal")
MEMORY = ("idle_mb", "peak_mb", "growth_mb")
"""Not of a bare loop, which holds all that it writes."""
INDEXED = ("cpu_indexed_ms", "indexed_per_s")
LATENCY = ("p50_ms", "p99_ms")
PANELS = {
    "ct fast": "CT, 528 KB, fast sender",
    "mr fast": "small MR, 38 KB, fast sender",
    "ct-jpeg-ls fast": "CT in JPEG-LS, fast sender",
    "ct storescu": "CT, stock storescu",
}
SLOWEST_SHOWN = 8
ASSOCIATIONS = {1: "#a6c8e0", 4: "#4a90c2", 16: "#17496d"}


def answer(runs: Runs, cases: Sequence[Case], directory: Path, failures: Sequence[str]) -> dict[str, Any]:
    """Everything that is saved."""
    return {
        "machine": machine(directory),
        "rounds": max((len(of_case) for of_case in runs.values()), default=0),
        "ratios": computed(runs),
        "cases": {case.name: _summary(case, list(runs[case.name].values())) for case in cases if runs.get(case.name)},
        "failures": list(failures),
    }


def _summary(case: Case, measured: Sequence[Measurement]) -> dict[str, Any]:
    peer = PEERS[case.receiver]
    left_out = {
        *COUNTED,
        *(MEMORY if peer.sends == "none" else ()),
        *(() if peer.is_node else INDEXED),
        *(LATENCY if case.sender == STOCK else ()),
    }
    names = [field.name for field in fields(Measurement) if field.name not in left_out]
    counted = {f"files_{name}": sum(getattr(one, name) for one in measured) for name in COUNTED}
    return {"instances": case.count, **{name: spread([getattr(one, name) for one in measured]) for name in names}, **counted}


def machine(directory: Path) -> dict[str, Any]:
    """What the numbers belong to."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "file_system": file_system(directory),
        "python": platform.python_version(),
        "pynetdicom": importlib.metadata.version("pynetdicom"),
        "dcmtk": _version("storescp"),
        "orthanc": _version("Orthanc"),
    }


def file_system(directory: Path) -> str:
    """Type of the file system that the directory is on."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    folder = str(directory.resolve())
    holding = [(len(point), kind) for point, kind in mounts if (folder + "/").startswith(point.rstrip("/") + "/")]
    return max(holding)[1] if holding else "unknown"


def _version(program: str) -> str:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"}
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        return "not installed"
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), "unknown")


def as_text(found: dict[str, Any]) -> str:
    """Two tables: medians with ranges, ratios with what is to be reached."""
    lines = [_heading("median (range)", "instances/s", "CPU ms", "indexed", "p99 ms", "peak MB", "MB/assoc.", "files")]
    for case_name, case in found["cases"].items():
        rate = case["per_s"]
        cells = (
            f"{rate['median']:,.0f} ({rate['min']:,.0f}-{rate['max']:,.0f})",
            *(f"{case[name]['median']:.2f}" if name in case else "-" for name in ("cpu_ms", "cpu_indexed_ms", "p99_ms")),
            *(f"{case[name]['median']:.1f}" if name in case else "-" for name in ("peak_mb", "growth_mb")),
            f"{case['files_identical']}" + (f" + {case['files_equal']} re-encoded" if case["files_equal"] else ""),
        )
        lines.append(_heading(case_name, *cells))
    lines += ["", f"{'ratio, per round: median (range)':94} {'':>24} {'target':>8}"]
    for ratio in found["ratios"]:
        verdict = {True: "reached", False: "NOT REACHED", None: ""}[ratio.get("reached")]
        values = f"{ratio['median']:g} ({ratio['min']:g}-{ratio['max']:g})"
        lines.append(f"{ratio['name']:94} {values:>24} {ratio.get('target', ''):>8}  {verdict}".rstrip())
    return "\n".join(lines)


def _heading(name: str, *cells: str) -> str:
    widths = (26, 8, 8, 8, 8, 10)
    first = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
    return f"{name:56}{first}  {cells[-1]}"


def draw(found: dict[str, Any], file: Path) -> None:
    """Instances a second for each receiver and number of associations; the node's names are bold."""
    figure = Figure(figsize=(15, 11), layout="constrained")
    for axes, (load, title) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        _draw_panel(axes, load, found["cases"])
        axes.set_title(title)
    machine_text = f"{found['machine']['cores']} cores, {found['machine']['file_system']}"
    figure.suptitle(
        f"Receiving over loopback: instances a second, median and range of {found['rounds']} rounds; {machine_text}"
    )
    figure.savefig(file, dpi=100)


def _draw_panel(axes: Axes, load: str, cases: dict[str, Any]) -> None:
    receivers = [name for name in reversed(PEERS) if any(f"{name} | {load} x{n}" in cases for n in ASSOCIATIONS)]
    for index, (number, colour) in enumerate(ASSOCIATIONS.items()):
        shown = [(at, cases.get(f"{name} | {load} x{number}")) for at, name in enumerate(receivers)]
        rates = [(at + (1 - index) * 0.27, case["per_s"]) for at, case in shown if case]
        if rates:
            places, numbers = zip(*rates, strict=True)
            medians = [rate["median"] for rate in numbers]
            ranges = [[r["median"] - r["min"] for r in numbers], [r["max"] - r["median"] for r in numbers]]
            text = f"{number} associations" if number > 1 else "1 association"
            axes.barh(places, medians, 0.25, xerr=ranges, color=colour, ecolor="grey", label=text)
    axes.set_yticks(range(len(receivers)), receivers)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("node") else "normal")
    axes.set_xscale("log")
    axes.set_xlim(left=SLOWEST_SHOWN)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", alpha=0.3)
    if receivers:
        axes.legend(fontsize="small")
