"""The numbers to reach, each a ratio of two measurements of the same round: its median and its range over the rounds."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.receive_measure import Measurement

Runs = Mapping[str, Mapping[int, Measurement]]
"""By name of the case, by round."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A measure of one case divided by that of another; alone where there is no other.

    Attributes:
        measure: the field of Measurement.
        at_least, at_most: what is to be reached; both absent: only shown.
    """

    load: str
    above: str
    below: str
    measure: str = "per_s"
    at_least: float | None = None
    at_most: float | None = None

    @property
    def name(self) -> str:
        over = f" / {self.below}" if self.below else ""
        return f"{MEASURES[self.measure]}, {self.load}: {self.above}{over}"

    def per_round(self, runs: Runs) -> list[float]:
        """Of the rounds in which both were measured."""
        above, below = ({**runs.get(f"{name} | {self.load}", {})} for name in (self.above, self.below))
        if not self.below:
            return [getattr(measured, self.measure) for measured in above.values()]
        pairs = [(getattr(above[n], self.measure), getattr(below[n], self.measure)) for n in above if n in below]
        return [one / other for one, other in pairs if other]

    def reached(self, value: float) -> bool | None:
        """Whether the value is good enough; None where nothing is asked."""
        if self.at_least is not None:
            return value >= self.at_least
        return None if self.at_most is None else value <= self.at_most

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"


MEASURES = {
    "per_s": "instances/s",
    "cpu_ms": "CPU until acknowledged",
    "cpu_indexed_ms": "CPU until indexed",
    "growth_mb": "memory of an association, MB",
}
NODE, FREE = "node", "node, not durable"
ORTHANC, STORESCP, BARE = "Orthanc, no delay", "storescp, no delay", "write, fsync, rename"


def ratios() -> Iterator[Ratio]:
    """Those of the design first, then what else is worth knowing."""
    yield Ratio("ct fast x1", FREE, "storescp +B, no delay", at_least=1.2)
    yield Ratio("ct fast x1", FREE, "pynetdicom storescp", at_least=12)
    for number in (1, 4, 16):
        yield Ratio(f"ct fast x{number}", NODE, ORTHANC, at_least=4)
    for number in (1, 4, 16):
        yield Ratio(f"ct fast x{number}", NODE, BARE, at_least=0.8)
    for number in (1, 4):
        yield Ratio(f"ct storescu x{number}", NODE, "Orthanc", at_least=10)
    for number in (1, 4, 16):
        yield Ratio(f"mr fast x{number}", NODE, ORTHANC, at_least=6)
    for measure in ("cpu_ms", "cpu_indexed_ms"):
        yield Ratio("ct fast x1", NODE, STORESCP, measure, at_most=1)
    for load in ("ct fast x1", "ct fast x16", "large fast x1"):
        yield Ratio(load, NODE, "", "growth_mb", at_most=20)
    yield from _shown()


def _shown() -> Iterator[Ratio]:
    for number in (4, 16):
        yield Ratio(f"ct fast x{number}", FREE, "storescp +B, no delay")
        yield Ratio(f"ct fast x{number}", FREE, "pynetdicom storescp")
        yield Ratio(f"ct fast x{number}", NODE, STORESCP, "cpu_ms")
        yield Ratio(f"ct fast x{number}", NODE, STORESCP, "cpu_indexed_ms")
    for number in (1, 4, 16):
        yield Ratio(f"ct fast x{number}", NODE, f"{BARE}, fsync folder")
        yield Ratio(f"ct fast x{number}", FREE, "socket to file")
        yield Ratio(f"ct fast x{number}", NODE, STORESCP)
        yield Ratio(f"ct fast x{number}", NODE, "Orthanc")
    for number in (1, 4):
        yield Ratio(f"ct fast x{number}", NODE, "node, streaming off")
        yield Ratio(f"ct-jpeg-ls fast x{number}", NODE, ORTHANC)
        yield Ratio(f"ct-jpeg-ls fast x{number}", FREE, "storescp +B, no delay")
        yield Ratio(f"ct storescu x{number}", NODE, "storescp")
        yield Ratio(f"ct storescu x{number}", NODE, "pynetdicom storescp")
    for number in (1, 4, 16):
        yield Ratio(f"mr fast x{number}", FREE, "storescp +B, no delay")
        yield Ratio(f"mr fast x{number}", NODE, BARE)
    for load in ("ct storescu x16", "mr storescu x1", "ct-jpeg-ls storescu x1"):
        yield Ratio(load, NODE, "Orthanc")


def computed(runs: Runs) -> list[dict[str, Any]]:
    """Every ratio of which both sides were measured."""
    found = []
    for ratio in ratios():
        values = ratio.per_round(runs)
        if values:
            middle = spread(values)
            verdict = {"target": ratio.target, "reached": ratio.reached(middle["median"])} if ratio.target else {}
            found.append({"name": ratio.name, **middle, **verdict})
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and range, with three digits that count."""
    numbers = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.3g}") for name, value in numbers.items()}
