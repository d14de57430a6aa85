"""What the parent of a receiver pool and its workers tell each other, pickled, over a pipe that only they hold."""

from dataclasses import dataclass
from pathlib import Path

from dicom_node.receive.commitment import CommitmentReport
from dicom_node.receive.settings import ReceiverSettings
from dicom_node.receive.spool import StoredFile


@dataclass(frozen=True, slots=True)
class Orders:
    """To a worker, first of all: what to do."""

    settings: ReceiverSettings
    spool: Path
    log_level: str
    log_format: str
    hears_commitments: bool


@dataclass(frozen=True, slots=True)
class Congestion:
    """To a worker: how many files wait for their row, over all processes, and on which side of the watermarks the disk is."""

    unindexed: int
    has_room: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """To a worker: let the open associations end for so long, then close them, and exit."""

    drain_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """To a worker: whether a report was kept; if not, why."""

    number: int
    refused: str


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker: it serves connections now."""


@dataclass(frozen=True, slots=True)
class Stored:
    """From a worker: files that have reached the spool."""

    files: tuple[StoredFile, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """From a worker: a connection of this peer is over."""

    host: str


@dataclass(frozen=True, slots=True)
class Reported:
    """From a worker: a storage commitment report, to be kept and answered with a `Verdict`."""

    number: int
    report: CommitmentReport
