"""What is measured: which receiver under which load, and with how many instances."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

FAST, STOCK = "fast", "storescu"
_DURABLE = ("node", "write, fsync, rename", "write, fsync, rename, fsync folder")
_QUICK = ("node, not durable", "storescp +B, no delay", "storescp, no delay", "socket to file")
_SLOW = ("Orthanc, no delay", "pynetdicom storescp", "node, streaming off")
_NAGLE = ("storescp +B", "storescp", "Orthanc")
"""43 ms for each instance of a fast sender, as shipped: an acknowledgement waits for the delayed one of the other side."""
COUNTS = {
    "ct": {_QUICK: 600, _DURABLE: 400, _SLOW: 160},
    "mr": {_QUICK: 3000, _DURABLE: 1500, _SLOW: 500},
    "ct-jpeg-ls": {_QUICK: 800, _DURABLE: 500, _SLOW: 160},
}
NAGLE_COUNT = 24
"""For each association."""
STOCK_COUNTS = {"node": 240, "pynetdicom storescp": 120}
"""Of a stock storescu; others are as slow as under Nagle's algorithm."""


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement: a receiver, what it is sent, by whom, over how many associations."""

    receiver: str
    data: str
    sender: str
    associations: int
    count: int

    @property
    def load(self) -> str:
        """Everything but the receiver: what must be equal to compare."""
        return f"{self.data} {self.sender} x{self.associations}"

    @property
    def name(self) -> str:
        return f"{self.receiver} | {self.load}"

    @property
    def warm(self) -> str:
        """The kind of data that warms up: never what is so large that it would hide what the measured one takes."""
        return "ct" if self.data == "large" else self.data

    @property
    def first(self) -> int:
        """The first instance that is measured; those before it warm up."""
        return self.associations if self.warm == self.data else 0


def all_cases() -> list[Case]:
    """Everything that `make bench-receive` measures in a round."""
    return [*_fast("ct", (1, 4, 16), (*_QUICK, *_DURABLE, *_SLOW, *_NAGLE)), *_others()]


def quick_cases() -> list[Case]:
    """A taste of it: the node and its peers without those that are slow, a quarter of the instances."""
    receivers = (*_DURABLE, "node, not durable", "storescp +B, no delay", "storescp, no delay", "Orthanc, no delay")
    return [replace(case, count=case.count // 4) for case in _fast("ct", (1, 4), receivers)]


def _others() -> Iterator[Case]:
    peers = ("node", "node, not durable", "storescp +B, no delay", "Orthanc, no delay", "write, fsync, rename")
    yield from _fast("mr", (1, 4, 16), peers)
    yield from _fast("mr", (4,), ("socket to file", "pynetdicom storescp", "storescp, no delay"))
    yield from _fast("ct-jpeg-ls", (1, 4), peers)
    yield from _fast("ct-jpeg-ls", (1,), ("socket to file", "pynetdicom storescp"))
    for receiver in ("node", "Orthanc", "storescp", "pynetdicom storescp"):
        yield from _stock("ct", (1, 4), receiver)
    for receiver in ("node", "Orthanc"):
        yield from _stock("ct", (16,), receiver)
    for receiver in ("node", "Orthanc"):
        yield from (case for data in ("mr", "ct-jpeg-ls") for case in _stock(data, (1,), receiver))
    for receiver in ("node", "storescp +B, no delay"):
        yield Case(receiver, "large", FAST, 1, 1)


def _fast(data: str, associations: tuple[int, ...], receivers: tuple[str, ...]) -> Iterator[Case]:
    for number in associations:
        for receiver in receivers:
            if receiver in _NAGLE:
                yield Case(receiver, data, FAST, number, NAGLE_COUNT * number)
            elif receiver != "node, streaming off" or number < 16:
                count = next(count for group, count in COUNTS[data].items() if receiver in group)
                yield Case(receiver, data, FAST, number, count)


def _stock(data: str, associations: tuple[int, ...], receiver: str) -> Iterator[Case]:
    for number in associations:
        yield Case(receiver, data, STOCK, number, STOCK_COUNTS.get(receiver, NAGLE_COUNT * number))


def needed(cases: Sequence[Case]) -> dict[str, int]:
    """Instances of each kind, those that warm up included."""
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.warm] = max(counts.get(case.warm, 0), case.associations)
        counts[case.data] = max(counts.get(case.data, 0), case.first + case.count)
    return counts
