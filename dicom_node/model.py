"""The domain's nouns: frozen values that flow from stage to stage. Times are seconds since the epoch, UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from dicom_node.lifecycle import State

Attributes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Instance:
    """A received SOP Instance, whole on stable storage.

    Attributes:
        path: the Part 10 file, absolute.
        attributes: what routing and assembly need, by DICOM keyword, each value as text; codes as "value^scheme". A dotted
            name steps into the first item of a sequence. Absent attributes are absent.
        planes: (position x y z, orientation 6, spacing 2, rows, columns) per frame with a place in the patient, for geometry.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    path: Path
    size_bytes: int
    received_at: float
    calling_ae_title: str = ""
    called_ae_title: str = ""
    peer_address: str = ""
    attributes: Attributes = field(default_factory=dict)
    planes: tuple[tuple[float, ...], ...] = ()

    def first(self, keyword: str, default: str = "") -> str:
        """The first value of an attribute, or the default."""
        return next(iter(self.attributes.get(keyword, ())), default)


@dataclass(frozen=True, slots=True)
class Series:
    """All instances of one series that have arrived, in order of arrival."""

    series_instance_uid: str
    study_instance_uid: str
    instances: tuple[Instance, ...]

    @property
    def first_received_at(self) -> float:
        return min(i.received_at for i in self.instances)

    @property
    def last_received_at(self) -> float:
        return max(i.received_at for i in self.instances)

    def first(self, keyword: str, default: str = "") -> str:
        """The first value of an attribute among the instances that have it."""
        return next((v[0] for i in self.instances if (v := i.attributes.get(keyword))), default)


class Completeness(StrEnum):
    """Whether a series may be routed."""

    WAITING = "waiting"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"  # the longest wait is over; its results say so


@dataclass(frozen=True, slots=True)
class Assessment:
    """What assembly says of a series, and why, in words."""

    completeness: Completeness
    reason: str
    missing_count: int = 0


@dataclass(frozen=True, slots=True)
class AssemblyPolicy:
    """When a series is complete."""

    quiet_s: float = 30.0
    longest_wait_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Decision:
    """Why an engine runs on a series, or does not."""

    engine: str
    series_instance_uid: str
    chosen: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Job:
    """One engine on one revision of one series.

    Attributes:
        revision: 1 for the first result of a series and engine, counting up when late instances arrive.
        input_digest: SHA-256 over study, series and sorted SOP Instance UIDs.
        as_of: when the last of its instances arrived: the results' date, so that a repeated run gives the same bytes.
        remark: what the result must say of its input ("incomplete: 3 slices missing"), else empty.
        destinations: names of those that take its results.
        predecessors: (SOP Class UID, SOP Instance UID, Series Instance UID) of SRs of earlier revisions that may be at a PACS.
    """

    job_id: int
    study_instance_uid: str
    series_instance_uid: str
    engine: str
    revision: int
    input_digest: str
    state: State
    attempts: int
    not_before: float
    priority: int
    created_at: float
    as_of: float
    calling_ae_title: str = ""
    reason: str = ""
    remark: str = ""
    destinations: tuple[str, ...] = ()
    predecessors: tuple[tuple[str, str, str], ...] = ()


class ResultKind(StrEnum):
    """What an object we made is for; also the order in which they are sent."""

    SEG = "SEG"
    SR = "SR"
    SC = "SC"
    PM = "PM"  # parametric map


@dataclass(frozen=True, slots=True)
class Result:
    """A SOP Instance that the node made.

    Attributes:
        rank: 0 for the preferred form; 1, 2 … for fallbacks of the same content that a destination may accept instead
            (Comprehensive 3D SR → Comprehensive SR → Enhanced SR).
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    kind: ResultKind
    rank: int
    path: Path


@dataclass(frozen=True, slots=True)
class Destination:
    """Where results go: a Storage SCP, and what it is known to want."""

    name: str
    ae_title: str
    host: str
    port: int
    kinds: tuple[ResultKind, ...] = (ResultKind.SEG, ResultKind.SR)
    storage_commitment: bool = False
    commitment_wait_s: float = 3600.0
    read_back: bool = False
    network_timeout_s: float = 30.0
    retry_first_s: float = 30.0
    retry_multiplier: float = 2.0
    retry_cap_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One result of one job to one destination.

    Attributes:
        rank: which fallback is to be sent next.
        transaction_uid: of the storage commitment request under way, else empty.
    """

    delivery_id: int
    job_id: int
    kind: ResultKind
    destination: str
    state: State
    rank: int
    attempts: int
    not_before: float
    status: int | None
    message: str
    transaction_uid: str


@dataclass(frozen=True, slots=True)
class Event:
    """A change of state, or a word about it, kept for `why`."""

    at: float
    subject: str  # "series", "job", "delivery", "instance"
    subject_id: str
    change: str
    detail: str
