"""Findings, nothing found or not analysed: each is a TID 1500 Structured Report."""

from collections.abc import Sequence

import highdicom as hd
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, EnhancedSRStorage, ExplicitVRLittleEndian

from dicom_node.model import ResultKind
from dicom_node.report.concepts import (
    ABSENT,
    CAD_SUMMARY,
    COMMENT,
    DERIVED_MEASUREMENTS,
    DEVICE_OBSERVER,
    QUALITATIVE_EVALUATIONS,
    REPORT_TITLE,
    SUMMARY,
    concept,
)
from dicom_node.report.context import Analysed, MadeResult, ReportContext, volume_of
from dicom_node.report.contour import Outline, largest_outline
from dicom_node.report.measurement_groups import (
    CONTAINS,
    Group,
    Scene,
    image_group,
    judgements,
    measurement_groups,
    numbers,
)
from dicom_node.report.normalise import Source
from dicom_node.report.provenance import header, made_by, parameters, stamp, uids
from dicom_node.report.segmentation import MarkedSegment
from dicom_node.report.uids import device_uid, series_uid, sop_instance_uid, tracking_uid
from engine.findings import Findings, Outcome
from engine.volume import Volume

FALLBACKS = (ComprehensiveSRStorage, EnhancedSRStorage)
IMAGE_LIBRARY_CLASSES = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"}
NO_SEGMENTATION = "No segmentation object: the source has no frame of reference."


def make_reports(
    findings: Findings,
    marked: tuple[MarkedSegment, ...],
    analysed: Analysed,
    source: Source,
    segmentation: Dataset | None,
    context: ReportContext,
) -> list[MadeResult]:
    """The report as Comprehensive 3D SR, and as Comprehensive and Enhanced SR for destinations that know no other.

    Source: PS3.16 TID 1500; PS3.3 A.35.
    """
    volume = volume_of(analysed)
    outlines = [largest_outline(m.segment.mask) for m in marked]
    groups: list[Group] = []
    if isinstance(analysed, Volume):
        scene = Scene(analysed, source, segmentation, findings.algorithm, context, lone=len(marked) == 1)
        for m, outline in zip(marked, outlines, strict=True):
            groups += measurement_groups(m, outline, scene)
    else:
        groups = [image_group(f, analysed or (), source, findings.algorithm, context) for f in findings.images]
    content = hd.sr.MeasurementReport(
        observation_context=_observer(findings, context),
        procedure_reported=concept(context.engine.procedure_reported),
        imaging_measurements=groups or [_no_measurements(findings, context)],
        title=concept(REPORT_TITLE),
        referenced_images=_library(outlines, volume, source, context) or None,
    )
    if not groups:
        content[0].ContentSequence.pop()  # the empty group that highdicom wants
    if findings.measurements:
        content[0].ContentSequence.append(_of_examination(findings))
    content[0].ContentSequence.append(_evaluations(findings, volume, source, context, segmentation))
    preferred = _document(content, findings, source, segmentation, context)
    return [MadeResult(ResultKind.SR, 0, preferred), *_fallbacks(preferred, findings, context)]


def _observer(findings: Findings, context: ReportContext) -> hd.sr.ObservationContext:
    algorithm = findings.algorithm
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(algorithm),
        name=context.engine.name,
        manufacturer_name=algorithm.manufacturer,
        model_name=algorithm.name,
        serial_number=context.identity.equipment.device_serial_number,
    )
    return hd.sr.ObservationContext(observer_device_context=hd.sr.ObserverContext(concept(DEVICE_OBSERVER), device))


def _no_measurements(findings: Findings, context: ReportContext) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=tracking_uid(context, "exam"), identifier="exam"),
        finding_category=concept(findings.finding_category or context.engine.finding_category),
        finding_type=concept(findings.finding_type or context.engine.finding_type),
    )


def _of_examination(findings: Findings) -> hd.sr.ContainerContentItem:
    """What is measured of the examination as a whole (number of nodules ...).

    It stands apart from the groups: validators take one without a region beside TID 1411 for a broken TID 1411.

    Source: PS3.16 TID 1500, "Derived Imaging Measurements".
    """
    box = hd.sr.ContainerContentItem(concept(DERIVED_MEASUREMENTS), relationship_type=CONTAINS)
    box.ContentSequence = hd.sr.ContentSequence()
    for number in numbers(findings.measurements, findings.algorithm) or []:
        box.ContentSequence.extend(number)
    return box


def _library(outlines: list[Outline], volume: Volume | None, source: Source, context: ReportContext) -> list[Dataset]:
    """Stand-ins for the slices that are cited; of ordinary cross-sectional images only."""
    if volume is None:
        return []
    entries = []
    for index in sorted({o.slice_index for o in outlines}):
        uid = volume.slices[index].sop_instance_uid
        class_uid = source.sop_class_uid(uid)
        if class_uid not in IMAGE_LIBRARY_CLASSES:
            return []
        entry = header(uid, class_uid, context)
        entry.Modality = volume.modality
        entry.Rows, entry.Columns = volume.voxels.shape[1:]
        entry.PixelSpacing = list(volume.pixel_spacing_mm)
        entry.SliceThickness = volume.slice_thickness_mm or volume.spacing_mm[0]
        entry.ImagePositionPatient = [float(v) for v in volume.positions_mm[index]]
        entry.ImageOrientationPatient = [float(v) for v in (*volume.row_direction, *volume.column_direction)]
        if source.frame_of_reference_uid:
            entry.FrameOfReferenceUID = source.frame_of_reference_uid
        entries.append(entry)
    return entries


def _evaluations(
    findings: Findings, volume: Volume | None, source: Source, context: ReportContext, segmentation: Dataset | None
) -> hd.sr.ContainerContentItem:
    """How the analysis ended, in code and in words.

    Source: PS3.16 TID 1500, "Qualitative Evaluations"; CID 6047.
    """
    marked = any(s.mask.any() for s in findings.segments)
    shown = marked or bool(findings.images)
    items: list[hd.sr.ContentItem] = [
        hd.sr.CodeContentItem(concept(CAD_SUMMARY), concept(SUMMARY[findings.outcome, shown]), CONTAINS)
    ]
    if findings.outcome is Outcome.NOTHING_FOUND:
        looked_for = findings.finding_type or context.engine.finding_type
        items.append(hd.sr.CodeContentItem(concept(looked_for), concept(ABSENT), CONTAINS))
    items += judgements(findings.evaluations)
    words = [
        findings.reason,
        context.identity.remark,
        NO_SEGMENTATION if marked and segmentation is None else "",
        *findings.remarks,
        *(volume.remarks if volume is not None else ()),
        *source.remarks,
        "Computed by " + ", ".join(_computed_by(findings)) + ".",
    ]
    items += [hd.sr.TextContentItem(concept(COMMENT), w, CONTAINS) for w in dict.fromkeys(words) if w]
    box = hd.sr.ContainerContentItem(concept(QUALITATIVE_EVALUATIONS), relationship_type=CONTAINS)
    box.ContentSequence = hd.sr.ContentSequence(items)
    return box


def _computed_by(findings: Findings) -> list[str]:
    algorithm = findings.algorithm
    return [f"{algorithm.name} {algorithm.version}", *(f"{n}: {t}" for n, t in parameters(algorithm).items())]


def _document(
    content: hd.sr.MeasurementReport,
    findings: Findings,
    source: Source,
    segmentation: Dataset | None,
    context: ReportContext,
) -> Dataset:
    cited = (*source.instances, *source.companions)
    evidence = [header(i.sop_instance_uid, i.sop_class_uid, context, i.series_instance_uid) for i in cited]
    document: Dataset = hd.sr.Comprehensive3DSR(
        evidence=[*evidence, *([segmentation] if segmentation is not None else [])],
        content=content,
        series_number=context.series_number(ResultKind.SR),
        instance_number=context.identity.revision,
        is_complete=True,
        is_final=False,
        is_verified=False,
        requested_procedures=list(source.requests) or None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **uids(context, findings.algorithm, ResultKind.SR),
        **made_by(context),
    )
    document.ContentQualification = context.identity.content_qualification
    own = {sop_instance_uid(context, findings.algorithm, ResultKind.SR, rank) for rank in range(1 + len(FALLBACKS))}
    replaced = [named for named in context.identity.predecessors if named[1] not in own]
    if replaced:
        document.PredecessorDocumentsSequence = [_predecessors(context, replaced)]
    description = f"AI {context.engine.title} report"
    return stamp(document, source, context, findings.algorithm, ResultKind.SR, description)


def _predecessors(context: ReportContext, replaced: Sequence[tuple[str, str, str]]) -> Dataset:
    """Reports that this one replaces, of the same study."""
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = context.identity.study_instance_uid, []
    for series_of in dict.fromkeys(series for _, _, series in replaced):
        series, instances = Dataset(), []
        for class_uid, instance_uid, _ in (p for p in replaced if p[2] == series_of):
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_uid, instance_uid
            instances.append(item)
        series.SeriesInstanceUID, series.ReferencedSOPSequence = series_of, instances
        study.ReferencedSeriesSequence.append(series)
    return study


def _fallbacks(preferred: Dataset, findings: Findings, context: ReportContext) -> Sequence[MadeResult]:
    """The same content under other classes, each with its own series and instance UID."""
    made = []
    for rank, class_uid in enumerate(FALLBACKS, 1):
        document = Dataset()
        document.update(preferred)
        own = {
            "SOPClassUID": class_uid,
            "SeriesInstanceUID": series_uid(context, findings.algorithm, ResultKind.SR, rank),
            "SOPInstanceUID": sop_instance_uid(context, findings.algorithm, ResultKind.SR, rank),
        }
        for keyword, uid in own.items():
            document[keyword] = DataElement(keyword, "UI", uid)  # its own elements: the others are shared
        made.append(MadeResult(ResultKind.SR, rank, document))
    return made
