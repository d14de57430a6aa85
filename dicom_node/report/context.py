"""What a result must know besides the findings: whose it is, who made it, which revision it is."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydicom.dataset import Dataset

import dicom_node
from dicom_node.model import ResultKind
from engine.api import EngineInfo
from engine.projection import ProjectionImage
from engine.volume import Volume

Analysed = Volume | tuple[ProjectionImage, ...] | None
"""What the engine saw; None where the input was refused before there was anything to see."""

SERIES_NUMBER_OFFSET = {ResultKind.SEG: 0, ResultKind.SR: 1, ResultKind.SC: 2, ResultKind.PM: 3}


@dataclass(frozen=True, slots=True)
class Equipment:
    """The node as the maker of files (General Equipment); the algorithm is named apart from it."""

    manufacturer: str = "dicom-node"
    model_name: str = "dicom-node"
    software_versions: str = dicom_node.__version__
    device_serial_number: str = "0"


@dataclass(frozen=True, slots=True)
class ResultIdentity:
    """Whose result it is, and which revision.

    Attributes:
        input_digest: SHA-256 over study, series and sorted SOP Instance UIDs.
        as_of: seconds since the epoch: the date and time of every result of the job.
        revision: becomes the Instance Number.
        predecessors: (SOP Class UID, SOP Instance UID, Series Instance UID) of SRs that this one replaces.
        remark: what the result must say of its input ("incomplete: 3 slices missing"), else empty.
        series_number_base: Series Number of the SEG; SR, SC and PM follow it. Engines of one study need different bases.
        content_qualification: RESEARCH or PRODUCT.
        utc_offset: of the dates in results (+HHMM) where the source says none.
        extra_kinds: what is made beside SEG and SR because a destination takes it: SC, PM.
    """

    study_instance_uid: str
    series_instance_uid: str
    input_digest: str
    as_of: float
    revision: int = 1
    predecessors: tuple[tuple[str, str, str], ...] = ()
    remark: str = ""
    equipment: Equipment = field(default_factory=Equipment)
    series_number_base: int = 9001
    content_qualification: str = "RESEARCH"
    utc_offset: str = "+0000"
    extra_kinds: frozenset[ResultKind] = frozenset()


@dataclass(frozen=True, slots=True)
class ReportContext:
    """The job's part of a result: which engine, for whom."""

    engine: EngineInfo
    identity: ResultIdentity

    def series_number(self, kind: ResultKind) -> int:
        return self.identity.series_number_base + SERIES_NUMBER_OFFSET[kind]

    def moment(self, utc_offset: str) -> datetime:
        """`as_of` on the clock of an offset from UTC, given as +HHMM; of the identity's where that is empty."""
        offset = utc_offset or self.identity.utc_offset
        sign = -1 if offset.startswith("-") else 1
        return datetime.fromtimestamp(self.identity.as_of, UTC) + sign * timedelta(
            hours=int(offset[1:3]), minutes=int(offset[3:5])
        )


def volume_of(analysed: Analysed) -> Volume | None:
    return analysed if isinstance(analysed, Volume) else None


@dataclass(frozen=True)
class MadeResult:
    """A SOP Instance not yet written.

    Attributes:
        rank: 1, 2 ... are fallbacks of rank 0 with the same content.
        part: 0, 1 ... of several of one kind and rank, which are all sent.
    """

    kind: ResultKind
    rank: int
    dataset: Dataset
    part: int = 0
