"""The source headers as results need them: complete, decoded, valid or blank, without anything private.

highdicom refuses ordinary hospital input (absent type 2 attributes, some character sets, duplicate positions ...), so it
never sees the source itself, only what is gathered here.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydicom import config
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import validate_value

from dicom_node.report.context import Analysed, ReportContext
from dicom_node.report.lenient import lenient
from engine.reading.elements import DAMAGE
from engine.volume import Volume

REQUIRED = (  # type 2 in every result: empty where the source says nothing
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
OPTIONAL = (
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "TimezoneOffsetFromUTC",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
)
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
CODE = ("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning")
TEXT_VR = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
GB2312_ESCAPE = "\x1b$)A"
"""pydicom takes it that Python strips this escape sequence of ISO 2022 IR 58, which Python does not. Source: PS3.5 Annex K."""
UTC_OFFSET = re.compile(r"[+-]\d{4}")


@dataclass(frozen=True, slots=True)
class SourceInstance:
    """An image that the result rests on; `patient_orientation` of projection images: letters along rows and columns."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    patient_orientation: tuple[str, str] | None = None


@dataclass(frozen=True)
class Source:
    """What results take from their source series.

    Attributes:
        identity: patient and study attributes, decoded; the type 2 ones are always there.
        series_moment: Series Date and Time, where the source has them.
        lossy: Lossy Image Compression attributes, where the source was compressed so.
        frame_of_reference_uid: empty where the source has none.
        instances: every instance of the series once, by SOP Instance UID.
        companions: the same of the other series that were looked at.
        requests: items for Referenced Request Sequence.
        utc_offset: Timezone Offset From UTC; empty where the source has none.
        remarks: values that could not be copied, by keyword, without the value.
    """

    identity: Dataset
    series_moment: Dataset
    lossy: Dataset
    frame_of_reference_uid: str
    instances: tuple[SourceInstance, ...]
    companions: tuple[SourceInstance, ...]
    requests: tuple[Dataset, ...]
    body_part_examined: str
    utc_offset: str
    remarks: tuple[str, ...]

    @cached_property
    def _by_uid(self) -> dict[str, SourceInstance]:
        return {i.sop_instance_uid: i for i in self.instances}

    def instance(self, sop_instance_uid: str) -> SourceInstance:
        """An instance of the series.

        Raises:
            KeyError: it is not of the series.
        """
        return self._by_uid[sop_instance_uid]

    def sop_class_uid(self, sop_instance_uid: str) -> str:
        """The class of an instance of the series.

        Raises:
            KeyError: it is not of the series.
        """
        return self._by_uid[sop_instance_uid].sop_class_uid


def normalise(
    sources: Sequence[Dataset], analysed: Analysed, context: ReportContext, companions: Sequence[Dataset] = ()
) -> Source:
    """Gather what results need from the headers of a series, in any order; of companions their UIDs alone.

    Patient and study come from the first slice or image that was analysed; without one, from the lowest SOP Instance UID.

    Raises:
        ValueError: there is no source at all.
    """
    by_uid = {str(s.get("SOPInstanceUID", "")): s for s in sources}
    if not by_uid:
        raise ValueError("a result needs at least one source instance")
    first = by_uid[_first_analysed(analysed) or min(by_uid)]
    remarks: list[str] = []
    with warnings.catch_warnings(record=True) as caught, lenient():
        warnings.simplefilter("always")
        identity = _copy(first, REQUIRED, remarks)
        identity.update(_copy(first, OPTIONAL, remarks, only_present=True))
        identity.StudyInstanceUID = context.identity.study_instance_uid
        requests = tuple(_requests(first, identity, context, remarks))
        series_moment = _copy(first, ("SeriesDate", "SeriesTime"), remarks, only_present=True)
        lossy = _copy(first, LOSSY, remarks, only_present=True)
        body_part = str(_copy(first, ("BodyPartExamined",), remarks).BodyPartExamined or "")
        offset = str(identity.get("TimezoneOffsetFromUTC") or "")
    if any("character" in str(w.message) or "ncod" in str(w.message) for w in caught):
        remarks.append("text of the source is not in the character set it names")
    return Source(
        identity,
        series_moment,
        lossy if lossy.get("LossyImageCompression") == "01" else Dataset(),
        str(first.get("FrameOfReferenceUID") or ""),
        _instances(sources, context.identity.series_instance_uid),
        _instances(companions),
        requests,
        body_part,
        offset if UTC_OFFSET.fullmatch(offset) else "",
        tuple(dict.fromkeys(remarks)),
    )


def _first_analysed(analysed: Analysed) -> str:
    if isinstance(analysed, Volume):
        return analysed.slices[0].sop_instance_uid
    return analysed[0].source.sop_instance_uid if analysed else ""


def _instances(headers: Sequence[Dataset], series_instance_uid: str = "") -> tuple[SourceInstance, ...]:
    by_uid = {str(h.get("SOPInstanceUID", "")): h for h in headers}
    return tuple(
        SourceInstance(
            str(h.get("SOPClassUID", "")), uid, series_instance_uid or str(h.get("SeriesInstanceUID", "")), _orientation(h)
        )
        for uid, h in sorted(by_uid.items())
    )


def _orientation(header: Dataset) -> tuple[str, str] | None:
    """Patient Orientation (0020,0020) of a biped: letters for the sides to which rows and columns run."""
    try:
        told = [str(v) for v in header.get("PatientOrientation") or []]
    except DAMAGE:
        return None
    if len(told) == 2 and all(re.fullmatch("[RLAPHF]{1,3}", v) for v in told):
        return told[0], told[1]
    return None


def keep_verbatim(dataset: Dataset, elements: Iterable[DataElement]) -> None:
    """Put elements into a result as they stand, valid or not: the result must go where its source lies."""
    for element in elements:
        dataset[element.tag] = element


def _copy(source: Dataset, keywords: Sequence[str], remarks: list[str], *, only_present: bool = False) -> Dataset:
    target = Dataset()
    for keyword in keywords:
        if keyword in source or not only_present:
            element = _copied(source, keyword, remarks)
            target[element.tag] = element
    return target


def _copied(source: Dataset, keyword: str, remarks: list[str]) -> DataElement:
    """One element by its dictionary VR; blank and remarked where its value cannot be kept."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    vr = dictionary_VR(tag)
    try:
        value = source[keyword].value if keyword in source else None
        if vr == "SQ":
            value = [_copy(item, CODE, remarks, only_present=True) for item in value or []]
        else:
            value = _valid(value, vr, dictionary_VM(tag))
    except DAMAGE:
        remarks.append(f"{keyword} of the source is not valid and was left empty")
        value = [] if vr == "SQ" else None
    return DataElement(tag, vr, value, validation_mode=config.IGNORE)


def _valid(value: object, vr: str, multiplicity: str) -> object:
    """Text as it stands, because a result must be filed with its source; anything else only if it is valid.

    Raises:
        ValueError: not a value of this representation or multiplicity.
    """
    if value is None or value == "":
        return None
    values = list(value) if isinstance(value, MultiValue) else [value]
    if vr in TEXT_VR:
        return "\\".join(str(v) for v in values).replace(GB2312_ESCAPE, "")
    if len(values) > 1 and multiplicity == "1":
        raise ValueError(f"{len(values)} values for one")
    for single in values:
        validate_value(vr, str(single), config.RAISE)
    return [str(v) for v in values] if len(values) > 1 else str(values[0])


def _requests(first: Dataset, identity: Dataset, context: ReportContext, remarks: list[str]) -> Iterable[Dataset]:
    """Request Attributes of an image as a report's Referenced Request.

    Source: PS3.3 C.17.2.
    """
    copied = ("RequestedProcedureID", "RequestedProcedureDescription", "AccessionNumber")
    for asked in _items(first, "RequestAttributesSequence", remarks):
        request = _copy(asked, copied, remarks)
        request.StudyInstanceUID = context.identity.study_instance_uid
        if not request.AccessionNumber:
            request["AccessionNumber"] = identity["AccessionNumber"]
        request.PlacerOrderNumberImagingServiceRequest = request.FillerOrderNumberImagingServiceRequest = ""
        request.ReferencedStudySequence = []
        codes = _items(asked, "RequestedProcedureCodeSequence", remarks)
        request.RequestedProcedureCodeSequence = [_copy(c, CODE, remarks, only_present=True) for c in codes]
        yield request


def _items(dataset: Dataset, keyword: str, remarks: list[str]) -> list[Dataset]:
    try:
        return list(dataset.get(keyword) or [])
    except DAMAGE:
        remarks.append(f"{keyword} of the source is damaged and was left out")
        return []
