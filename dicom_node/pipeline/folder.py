"""A folder of DICOM files as series, without a network: for `explain`, `infer` and the demo."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dicom_node.errors import UnreadableInstanceError
from dicom_node.headers import ROUTING_KEYWORDS, read_instance
from dicom_node.model import Instance, Series

NOT_DICOM = frozenset({"DICOMDIR"})


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder holds: its series in order of Series Instance UID, and the files that are no instances, with the reason."""

    series: tuple[Series, ...]
    unreadable: tuple[tuple[Path, str], ...]


def read_folder(path: Path, keywords: Iterable[str] = ROUTING_KEYWORDS) -> Folder:
    """Read the headers of one file, or of all files below a folder.

    Of two files with one SOP Instance UID the first by name counts, as the node keeps the first that arrives.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and p.name not in NOT_DICOM)
    instances: dict[str, Instance] = {}
    unreadable = []
    for file in files:
        try:
            instance = read_instance(file, received_at=file.stat().st_mtime, keywords=frozenset(keywords))
        except UnreadableInstanceError as error:
            unreadable.append((file, str(error)))
            continue
        instances.setdefault(instance.sop_instance_uid, instance)
    return Folder(_grouped(instances.values()), tuple(unreadable))


def _grouped(instances: Iterable[Instance]) -> tuple[Series, ...]:
    by_series: dict[str, list[Instance]] = {}
    for instance in instances:
        by_series.setdefault(instance.series_instance_uid, []).append(instance)
    return tuple(Series(uid, group[0].study_instance_uid, tuple(group)) for uid, group in sorted(by_series.items()))
