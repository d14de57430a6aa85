"""What every result carries beyond its own content: whose it is, who made it, when."""

import textwrap
from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset

from dicom_node.model import ResultKind
from dicom_node.report.concepts import PROCESSING_EQUIPMENT, concept
from dicom_node.report.context import ReportContext
from dicom_node.report.normalise import Source, keep_verbatim
from dicom_node.report.uids import device_uid, series_uid, sop_instance_uid
from engine.findings import Algorithm

CODED_CONTENT = ("ContentSequence", "SegmentSequence")
"""Where an engine's own codes may stand; the frames of a SEG have none, and are many."""
LOCAL = "99"
"""What private Coding Scheme Designators begin with. Source: PS3.16 8.2."""
LONGEST_DESCRIPTION = 64  # characters of LO


def header(instance_uid: str, class_uid: str, context: ReportContext, series_instance_uid: str = "") -> Dataset:
    """A stand-in for a source instance that highdicom accepts whatever the source is like.

    It names nobody: patient and study are stamped on what highdicom makes of it. It is of the analysed series unless another
    is given.
    """
    stub = Dataset()
    stub.PatientID, stub.StudyID, stub.AccessionNumber = "", "", ""
    stub.SpecificCharacterSet = "ISO_IR 192"
    stub.StudyInstanceUID = context.identity.study_instance_uid
    stub.SeriesInstanceUID = series_instance_uid or context.identity.series_instance_uid
    stub.SOPInstanceUID, stub.SOPClassUID = instance_uid, class_uid
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "PatientName", "ReferringPhysicianName"):
        setattr(stub, keyword, "")
    return stub


def stamp(
    dataset: Dataset, source: Source, context: ReportContext, algorithm: Algorithm, kind: ResultKind, description: str
) -> Dataset:
    """Add what highdicom leaves out, and replace what it draws from the clock; changes and returns the dataset.

    Series attributes do not tell revisions apart, because revisions share a series: its date is the source's, its description
    knows no outcome. Those stand in the content.

    Source: IHE Radiology AI Results (AIR), equipment and device identification.
    """
    keep_verbatim(dataset, source.identity)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    moment = context.moment(source.utc_offset)
    keep_verbatim(dataset, source.series_moment)
    for name in ("Content", "InstanceCreation"):
        setattr(dataset, f"{name}Date", moment.strftime("%Y%m%d"))
        setattr(dataset, f"{name}Time", moment.strftime("%H%M%S"))
    dataset.SeriesDescription = shortened(description)
    dataset.SeriesNumber = context.series_number(kind)
    dataset.InstanceNumber = context.identity.revision
    equipment = context.identity.equipment
    dataset.Manufacturer, dataset.ManufacturerModelName = equipment.manufacturer, equipment.model_name
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = equipment.software_versions, equipment.device_serial_number
    dataset.DeviceUID = device_uid(algorithm)
    dataset.ContributingEquipmentSequence = [_contribution(source, context, algorithm)]
    local = sorted({s for name in CODED_CONTENT for item in dataset.get(name) or [] for s in _local_schemes(item)})
    if local:
        dataset.CodingSchemeIdentificationSequence = [_coding_scheme(name, algorithm) for name in local]
    return dataset


def uids(context: ReportContext, algorithm: Algorithm, kind: ResultKind, part: int = 0) -> dict[str, Any]:
    """Series Instance UID and SOP Instance UID of a result, by the names of highdicom's arguments."""
    return {
        "series_instance_uid": series_uid(context, algorithm, kind),
        "sop_instance_uid": sop_instance_uid(context, algorithm, kind, part=part),
    }


def made_by(context: ReportContext) -> dict[str, Any]:
    """General Equipment by the names of highdicom's arguments."""
    equipment = context.identity.equipment
    return {
        "manufacturer": equipment.manufacturer,
        "manufacturer_model_name": equipment.model_name,
        "software_versions": equipment.software_versions,
        "device_serial_number": equipment.device_serial_number,
    }


def parameters(algorithm: Algorithm) -> dict[str, str]:
    """Algorithm Parameters (0066,0032) and (111002, DCM): which weights, where, and how."""
    told = {"weights SHA-256": algorithm.weights_digest, "device": algorithm.device, "parameters": algorithm.parameters}
    return {name: text for name, text in told.items() if text}


def _contribution(source: Source, context: ReportContext, algorithm: Algorithm) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [concept(PROCESSING_EQUIPMENT)]
    item.Manufacturer, item.ManufacturerModelName = algorithm.manufacturer, algorithm.name
    item.SoftwareVersions, item.DeviceUID = algorithm.version, device_uid(algorithm)
    moment = context.moment(source.utc_offset)
    item.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S") + (source.utc_offset or context.identity.utc_offset)
    item.ContributionDescription = "AI analysis of the source series"
    return item


def shortened(text: str, limit: int = LONGEST_DESCRIPTION) -> str:
    """Text cut between words to what a Long String may hold."""
    return textwrap.shorten(text, limit, placeholder=" ...")


def _local_schemes(item: Dataset) -> Iterator[str]:
    if str(item.get("CodingSchemeDesignator", "")).startswith(LOCAL):
        yield str(item.CodingSchemeDesignator)
    for element in item:
        if element.VR == "SQ":
            for inner in element.value:
                yield from _local_schemes(inner)


def _coding_scheme(designator: str, algorithm: Algorithm) -> Dataset:
    """Who is behind codes that no standard knows.

    Source: PS3.3 C.12.1, Coding Scheme Identification Sequence.
    """
    item = Dataset()
    item.CodingSchemeDesignator = designator
    item.CodingSchemeName = shortened(f"Local codes of {algorithm.name}")
    item.CodingSchemeResponsibleOrganization = algorithm.manufacturer
    return item
