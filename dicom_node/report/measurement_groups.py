"""What an SR says of each segment: numbers about it (TID 1411) and where to look (TID 1410); of each image (TID 1501)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from dicom_node.report.concepts import AI_FAMILY, IN_PLANE, LONG_AXIS, MILLILITRE, MILLIMETRE, VOLUME, concept
from dicom_node.report.context import ReportContext
from dicom_node.report.contour import Outline, long_axis
from dicom_node.report.normalise import Source
from dicom_node.report.provenance import parameters
from dicom_node.report.segmentation import MarkedSegment
from dicom_node.report.uids import tracking_uid
from engine.findings import Algorithm, Code, Evaluation, ImageFinding, Measurement, Segment
from engine.projection import ProjectionImage
from engine.volume import Volume

ANATOMICAL_STRUCTURE = "91723000"
DECIMALS = 3

Group = (
    hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
    | hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations
    | hd.sr.MeasurementsAndQualitativeEvaluations
)
CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS


@dataclass(frozen=True)
class Scene:
    """What all groups of a report have in common.

    Attributes:
        segmentation: the SEG whose segments are cited; None where the source has no frame of reference.
        lone: whether the report is about one segment only.
    """

    volume: Volume
    source: Source
    segmentation: Dataset | None
    algorithm: Algorithm
    context: ReportContext
    lone: bool


def measurement_groups(marked: MarkedSegment, outline: Outline, scene: Scene) -> list[Group]:
    """Groups with the segment's tracking UID; without a SEG all numbers stand in the one with the contour.

    A lone segment has its long axis too. That also keeps PixelMed from holding TID 1411 against TID 1410, as it does where
    exactly one of several groups is a planar one.

    Source: PS3.16 TID 1410, TID 1411.
    """
    segment = marked.segment
    counted = Measurement(VOLUME, scene.volume.volume_ml(segment.mask), MILLILITRE)
    claimed = [m for m in segment.measurements if m.name.value != VOLUME.value]
    in_plane = [m for m in claimed if m.name.value in IN_PLANE]
    of_segment = [counted, *(m for m in claimed if m.name.value not in IN_PLANE)]
    if scene.segmentation is None:
        return [_judged(_planar(segment, outline, of_segment + in_plane, scene), segment.evaluations)]
    volumetric = _judged(_volumetric(marked, scene.segmentation, of_segment, scene), segment.evaluations)
    if not scene.lone:
        return [volumetric, _planar(segment, outline, in_plane, scene)]
    axis, length_mm = long_axis(outline, scene.volume.pixel_spacing_mm)
    claims = [m for m in in_plane if m.name.value == LONG_AXIS.value]
    others = [m for m in in_plane if m.name.value != LONG_AXIS.value]
    along = claims or [Measurement(LONG_AXIS, length_mm, MILLIMETRE)]
    return [volumetric, _planar(segment, outline, others, scene), _planar(segment, axis, along, scene)]


def _planar(segment: Segment, outline: Outline, measurements: list[Measurement], scene: Scene) -> Group:
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_region=_region(outline, scene.volume, scene.source),
        measurements=numbers(measurements, scene.algorithm),
        **_finding(segment, scene.context),
    )


def _volumetric(marked: MarkedSegment, segmentation: Dataset, measurements: list[Measurement], scene: Scene) -> Group:
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=marked.number,
            source_series=hd.sr.SourceSeriesForSegmentation(scene.context.identity.series_instance_uid),
        ),
        measurements=numbers(measurements, scene.algorithm),
        **_finding(marked.segment, scene.context),
    )


def image_group(
    finding: ImageFinding, images: Sequence[ProjectionImage], source: Source, algorithm: Algorithm, context: ReportContext
) -> Group:
    """What is claimed of a projection image as a whole.

    Source: PS3.16 TID 1501.
    """
    shown = images[finding.image].source
    image = hd.sr.SourceImageForMeasurementGroup(
        source.sop_class_uid(shown.sop_instance_uid),
        shown.sop_instance_uid,
        None if shown.frame_number is None else [shown.frame_number],
    )
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=tracking_uid(context, finding.key), identifier=finding.label),
        finding_category=concept(finding.category),
        finding_type=concept(finding.finding_type),
        measurements=numbers(finding.measurements, algorithm),
        source_images=[image],
    )
    return _judged(group, finding.evaluations)


def judgements(evaluations: Sequence[Evaluation]) -> list[hd.sr.ContentItem]:
    """As codes, or in words where there is none."""
    return [
        hd.sr.TextContentItem(concept(e.name), e.value, CONTAINS)
        if isinstance(e.value, str)
        else hd.sr.CodeContentItem(concept(e.name), concept(e.value), CONTAINS)
        for e in evaluations
    ]


def _judged(group: Group, evaluations: Sequence[Evaluation]) -> Group:
    group[0].ContentSequence.extend(judgements(evaluations))
    return group


def algorithm_identification(algorithm: Algorithm) -> hd.sr.AlgorithmIdentification:
    """TID 4019, under each number: a group's own would break the template for some validators."""
    return hd.sr.AlgorithmIdentification(
        name=algorithm.name,
        version=algorithm.version,
        manufacturer=algorithm.manufacturer,
        family=concept(AI_FAMILY),
        parameters=[f"{name}: {text}" for name, text in parameters(algorithm).items()] or None,
    )


def _finding(segment: Segment, context: ReportContext) -> dict[str, Any]:
    site = _site(segment)
    laterality = concept(segment.laterality) if segment.laterality else None
    return {
        "tracking_identifier": hd.sr.TrackingIdentifier(uid=tracking_uid(context, segment.key), identifier=segment.label),
        "finding_category": concept(segment.category),
        "finding_type": concept(segment.property_type),
        "finding_sites": [hd.sr.FindingSite(concept(site), laterality=laterality)] if site else None,
    }


def _site(segment: Segment) -> Code | None:
    if segment.anatomic_region:
        return segment.anatomic_region
    return segment.property_type if segment.category.value == ANATOMICAL_STRUCTURE else None


def numbers(measurements: Sequence[Measurement], algorithm: Algorithm) -> list[hd.sr.Measurement] | None:
    return [
        hd.sr.Measurement(
            name=concept(m.name),
            value=round(float(m.value), DECIMALS),
            unit=concept(m.unit),
            derivation=concept(m.derivation) if m.derivation else None,
            algorithm_id=algorithm_identification(algorithm),
        )
        for m in measurements
        if np.isfinite(m.value)
    ] or None


def _region(outline: Outline, volume: Volume, source: Source) -> hd.sr.ImageRegion:
    shown = volume.slices[outline.slice_index]
    image = hd.sr.SourceImageForRegion(
        referenced_sop_class_uid=source.sop_class_uid(shown.sop_instance_uid),
        referenced_sop_instance_uid=shown.sop_instance_uid,
        referenced_frame_numbers=None if shown.frame_number is None else [shown.frame_number],
    )
    return hd.sr.ImageRegion(hd.sr.GraphicTypeValues.POLYLINE, outline.points, image)
