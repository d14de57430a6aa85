"""The demo PACS's store: Part 10 files in folders by study and series, and queries over their headers.

Source: DICOM PS3.4 C.2.2 (attribute matching), C.6.2 (study root).
"""

import re
import threading
from collections.abc import Iterator
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_node.errors import PermanentError

_LEVELS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
_KEPT = [
    *_LEVELS.values(),
    "SOPClassUID",
    "SpecificCharacterSet",
    "PatientID",
    "PatientName",
    "AccessionNumber",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "InstanceNumber",
]
_UID = re.compile(r"[0-9.]{1,64}")


class Archive:
    """Instances on disk under `<study>/<series>/<instance>.dcm`; what lies there at the start is held already."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._headers: dict[str, Dataset] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for path in sorted(directory.rglob("*.dcm")):
            header = dcmread(path, specific_tags=_KEPT, stop_before_pixels=True)
            self._headers[str(header.SOPInstanceUID)] = header

    def add(self, content: bytes) -> Path:
        """Keep a Part 10 file as it is; the same SOP Instance UID again replaces it.

        Raises:
            PermanentError: it does not say which study, series and instance it is.
            OSError: the disk does not take it.
        """
        header = dcmread(BytesIO(content), specific_tags=_KEPT, stop_before_pixels=True)
        uids = [str(header.get(keyword, "")) for keyword in _LEVELS.values()]
        if not all(_UID.fullmatch(uid) for uid in uids):
            raise PermanentError("an instance without study, series or SOP Instance UID cannot be kept")
        study, series, instance = uids
        path = self.directory / study / series / f"{instance}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{threading.get_ident()}.part")
        temporary.write_bytes(content)
        temporary.replace(path)
        with self._lock:
            self._headers[instance] = header
        return path

    def holds(self, sop_instance_uid: str) -> bool:
        with self._lock:
            return sop_instance_uid in self._headers

    def paths(self, modality: str | None = None) -> list[Path]:
        """Files in the order of study, series and instance, all or those of one modality."""
        with self._lock:
            headers = [h for h in self._headers.values() if modality in {None, h.get("Modality")}]
        return sorted(self.directory / h.StudyInstanceUID / h.SeriesInstanceUID / f"{h.SOPInstanceUID}.dcm" for h in headers)

    def find(self, identifier: Dataset) -> Iterator[Dataset]:
        """Answers to a C-FIND identifier, one for each study, series or instance that matches."""
        level = str(identifier.get("QueryRetrieveLevel", "STUDY"))
        unique = _LEVELS.get(level)
        with self._lock:
            headers = list(self._headers.values())
        matching: dict[str, list[Dataset]] = {}
        for header in headers:
            if unique is not None and _matches(header, identifier):
                matching.setdefault(str(header.get(unique)), []).append(header)
        for group in matching.values():
            yield _answer(identifier, level, group)


def _matches(header: Dataset, identifier: Dataset) -> bool:
    """Single value, list of UID, and wild card matching; a key without value, or that is not kept, matches anything."""
    keys = [e for e in identifier if e.keyword in _KEPT and e.keyword != "SpecificCharacterSet" and not e.is_empty]
    return all(_matches_one(header.get(e.keyword), e.value if e.VM > 1 else [e.value]) for e in keys)


def _matches_one(held: object, wanted: list[object]) -> bool:
    return any(fnmatchcase(str(held), str(pattern).replace("[", "[[]")) for pattern in wanted)


def _answer(identifier: Dataset, level: str, group: list[Dataset]) -> Dataset:
    answer = Dataset()
    answer.QueryRetrieveLevel = level
    for element in identifier:
        if element.keyword in _KEPT and element.keyword in group[0]:
            answer[element.tag] = group[0][element.tag]
    if "SpecificCharacterSet" in group[0]:
        answer.SpecificCharacterSet = group[0].SpecificCharacterSet
    if "NumberOfSeriesRelatedInstances" in identifier and level == "SERIES":
        answer.NumberOfSeriesRelatedInstances = len(group)
    if "NumberOfStudyRelatedInstances" in identifier and level == "STUDY":
        answer.NumberOfStudyRelatedInstances = len(group)
    return answer
