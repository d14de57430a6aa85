"""What is refused before any rule: our own results, localizers, dose reports, screens, reformats, whatever is no image."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from pydicom import config as pydicom_config
from pydicom.uid import UID

from dicom_node.model import Instance, Series
from dicom_node.route.candidate import Candidate, as_number

DEVICE_UID_KEYWORDS = ("ContributingEquipmentSequence.DeviceUID", "DeviceUID")
FEW_IMAGES = 10
"""A series with fewer images whose description says so is a localizer even where Image Type does not."""
_LOCALIZER = re.compile(r"(?i)\b(localizer|localiser|scout|topogram|surview|scanogram)\b")
_REFORMATS = frozenset({"MPR", "REFORMATTED", "MIP", "MINIP", "IP", "CPR", "CURVED", "VRT", "SSD", "PROJECTION"})
_SCREENS = frozenset({"SCREEN", "SCREENSAVE", "DOSE", "PROT", "PROTOCOL"})


@dataclass(frozen=True, slots=True)
class Ours:
    """How the node knows its own results: Device UIDs of its engines, UIDs of what it made."""

    device_uids: frozenset[str] = frozenset()
    sop_instance_uids: frozenset[str] = frozenset()
    series_instance_uids: frozenset[str] = frozenset()


def candidate_of(series: Series, ours: Ours) -> tuple[Candidate, str]:
    """The series as rules see it, and why it is refused before any rule; empty if it is not.

    An instance that is refused among others that are not is left out, and the rest is judged.
    """
    words = {instance.sop_instance_uid: _refused(instance) for instance in series.instances}
    images = tuple(sorted((i for i in series.instances if not words[i.sop_instance_uid]), key=_order))
    left_out = tuple(i for i in series.instances if words[i.sop_instance_uid])
    told = _counted([words[i.sop_instance_uid] for i in left_out])
    remark = f"left out {told}" if images and left_out else ""
    candidate = Candidate(series, images, left_out, remark)
    if _is_ours(series, ours):
        return candidate, "a result of this node: engines never run on their own output"
    if not images:
        return candidate, f"no image to analyse: {told or 'no instances'}"
    if len(images) < FEW_IMAGES and _LOCALIZER.search(candidate.first("SeriesDescription")):
        return candidate, f"a localizer by its Series Description, {candidate.facts()}"
    return candidate, ""


def _is_ours(series: Series, ours: Ours) -> bool:
    """Source: IHE Radiology AI Results (AIR): Contributing Equipment with purpose (109102, DCM) carries the Device UID."""
    if series.series_instance_uid in ours.series_instance_uids:
        return True
    return any(
        instance.sop_instance_uid in ours.sop_instance_uids
        or any(ours.device_uids.intersection(instance.attributes.get(keyword, ())) for keyword in DEVICE_UID_KEYWORDS)
        for instance in series.instances
    )


def _refused(instance: Instance) -> str:
    """What the instance is instead of an image to analyse; empty if it is one. Source: PS3.3 C.7.6.1.1.2, C.8.16.1."""
    name = _class_name(instance.sop_class_uid)
    by_class = _refused_class(name)
    if by_class:
        return by_class
    image_type = instance.attributes.get("ImageType", ())
    tokens = {token for value in image_type for token in re.split(r"[\s_\\]+", value.upper()) if token}
    if "LOCALIZER" in tokens or "SCOUT" in tokens:
        return "localizer"
    if tokens & _REFORMATS:
        return f"reformat (Image Type {min(tokens & _REFORMATS)})"
    if tokens & _SCREENS:
        return f"screen (Image Type {min(tokens & _SCREENS)})"
    return ""


def _refused_class(name: str) -> str:
    if "Radiation Dose" in name:
        return f"dose report ({name})"
    if "Secondary Capture" in name:
        return f"secondary capture ({name})"
    return "" if "Image Storage" in name or name == "Enhanced US Volume Storage" else name


_YOUNGER_THAN_PYDICOM = {
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
}
"""Source: DICOM PS3.6 Table A-1."""


@lru_cache(maxsize=512)
def _class_name(uid: str) -> str:
    name = _YOUNGER_THAN_PYDICOM.get(uid) or UID(uid, validation_mode=pydicom_config.IGNORE).name
    return name if name != uid else f"SOP class {uid or 'absent'}"


def _counted(words: list[str]) -> str:
    return ", ".join(f"{count} x {word}" for word, count in sorted(Counter(words).items()))


def _order(instance: Instance) -> tuple[float, str]:
    return as_number(instance.first("InstanceNumber")) or 0.0, instance.sop_instance_uid
