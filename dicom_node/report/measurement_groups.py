"""What an SR says of each segment: numbers about the segment (TID 1411) and where to look (TID 1410)."""

from typing import Any

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from dicom_node.report.concepts import AI_FAMILY, IN_PLANE, MILLILITRE, VOLUME, concept
from dicom_node.report.context import ReportContext
from dicom_node.report.contour import Outline
from dicom_node.report.normalise import Source
from dicom_node.report.provenance import parameters
from dicom_node.report.segmentation import MarkedSegment
from dicom_node.report.uids import tracking_uid
from engine.findings import Algorithm, Code, Measurement, Segment
from engine.volume import Volume

ANATOMICAL_STRUCTURE = "91723000"
DECIMALS = 3

Group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations | hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations


def measurement_groups(
    marked: MarkedSegment,
    outline: Outline,
    volume: Volume,
    source: Source,
    segmentation: Dataset | None,
    algorithm: Algorithm,
    context: ReportContext,
) -> list[Group]:
    """Two groups with the segment's tracking UID; without a SEG all numbers stand in the one with the contour.

    Source: PS3.16 TID 1410, TID 1411.
    """
    segment = marked.segment
    counted = Measurement(VOLUME, volume.volume_ml(segment.mask), MILLILITRE)
    claimed = [m for m in segment.measurements if m.name.value != VOLUME.value]
    in_plane = [m for m in claimed if m.name.value in IN_PLANE]
    of_segment = [counted, *(m for m in claimed if m.name.value not in IN_PLANE)]
    planar = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(segment, context),
        referenced_region=_region(outline, volume, source),
        measurements=_numbers(in_plane if segmentation else of_segment + in_plane, algorithm),
        **_finding(segment),
    )
    if segmentation is None:
        return [planar]
    volumetric = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(segment, context),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=marked.number,
            source_series=hd.sr.SourceSeriesForSegmentation(context.series_instance_uid),
        ),
        measurements=_numbers(of_segment, algorithm),
        **_finding(segment),
    )
    return [volumetric, planar]


def algorithm_identification(algorithm: Algorithm) -> hd.sr.AlgorithmIdentification:
    """TID 4019, under each number: a group's own would break the template for some validators."""
    return hd.sr.AlgorithmIdentification(
        name=algorithm.name,
        version=algorithm.version,
        manufacturer=algorithm.manufacturer,
        family=concept(AI_FAMILY),
        parameters=[f"{name}: {text}" for name, text in parameters(algorithm).items()] or None,
    )


def _tracking(segment: Segment, context: ReportContext) -> hd.sr.TrackingIdentifier:
    return hd.sr.TrackingIdentifier(uid=tracking_uid(context, segment.key), identifier=segment.label)


def _finding(segment: Segment) -> dict[str, Any]:
    site = _site(segment)
    laterality = concept(segment.laterality) if segment.laterality else None
    return {
        "finding_category": concept(segment.category),
        "finding_type": concept(segment.property_type),
        "finding_sites": [hd.sr.FindingSite(concept(site), laterality=laterality)] if site else None,
    }


def _site(segment: Segment) -> Code | None:
    if segment.anatomic_region:
        return segment.anatomic_region
    return segment.property_type if segment.category.value == ANATOMICAL_STRUCTURE else None


def _numbers(measurements: list[Measurement], algorithm: Algorithm) -> list[hd.sr.Measurement] | None:
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
