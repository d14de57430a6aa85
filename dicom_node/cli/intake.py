"""How receiving stands, for `status` and `check`: what the receiving service said last, and what the disk says now."""

from dataclasses import dataclass
from pathlib import Path

from dicom_node.cli.output import about, moment
from dicom_node.config import NodeConfiguration
from dicom_node.node.paths import StatePaths
from dicom_node.node.receiving import receiver_settings
from dicom_node.receive.disk import Space, file_system_of, floor_bytes
from dicom_node.receive.disk_watch import DiskReport
from dicom_node.receive.forecast import SHORTEST_S

SILENT_S = 90.0  # it says a word every minute
VOLATILE = {"tmpfs", "ramfs"}


@dataclass(frozen=True, slots=True)
class Intake:
    """Whether instances are taken, and for how long there is room.

    Attributes:
        file_system: its kind; empty where that is not known.
        said_at: when the receiving service last said a word; None if never.
        is_silent: that word is too old; only the disk was asked then.
        refused_because: why C-STORE is refused; empty if it is accepted.
        full_in_s: when it will be refused at the present rate; None if that is not in sight, or not known.
        observed_s: how long the rate was observed.
    """

    free_bytes: int
    total_bytes: int
    file_system: str
    said_at: float | None
    is_silent: bool
    refused_because: str
    refused_since: float | None
    full_in_s: float | None
    observed_s: float


def intake(configuration: NodeConfiguration, now: float) -> Intake:
    """Ask the disk and read the last word.

    Raises:
        OSError: the file system does not answer.
    """
    paths = StatePaths(Path(configuration.node.state_dir))
    directory = paths.spool if paths.spool.exists() else paths.state
    space = Space.of(directory)
    said = DiskReport.read(paths.disk_report)
    word = said if said is not None and now - said.at <= SILENT_S else None
    is_full = space.free_bytes < floor_bytes(space.total_bytes, receiver_settings(configuration).watermarks)
    return Intake(
        space.free_bytes,
        space.total_bytes,
        file_system_of(directory),
        said.at if said is not None else None,
        is_silent=word is None,
        refused_because=(word.refused_because if word else "") or ("disk nearly full" if is_full else ""),
        refused_since=word.refused_since if word else None,
        full_in_s=0.0 if is_full else word.full_in_s if word else None,
        observed_s=word.observed_s if word else 0.0,
    )


def facts(found: Intake) -> dict[str, object]:
    """For a person."""
    return {
        "disk": room(found),
        "C-STORE": _state(found),
        "disk full": _forecast(found),
    }


def room(found: Intake) -> str:
    return f"{found.free_bytes / 1e9:.1f} GB free of {found.total_bytes / 1e9:.1f} GB"


def _state(found: Intake) -> str:
    if found.refused_because:
        since = f" since {moment(found.refused_since)}" if found.refused_since else ""
        return f"refused{since}: {found.refused_because}"
    if found.is_silent:
        said = f"since {moment(found.said_at)}" if found.said_at else "yet"
        return f"not known: the receiving service has said nothing {said}"
    return "accepted"


def _forecast(found: Intake) -> str:
    if found.full_in_s is not None:
        return f"in about {about(found.full_in_s)} at the present rate; then C-STORE is refused" if found.full_in_s else "now"
    if found.is_silent or found.observed_s < SHORTEST_S:
        return f"not known: the rate is known {SHORTEST_S / 60:g} minutes after a start"
    return "not in sight"
