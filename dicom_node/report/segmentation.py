"""Findings as a DICOM Segmentation on the source grid.

highdicom makes the object for a single pixel; the frames are put in here, because its way through hundreds of frames costs
seconds and gigabytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicom_node.model import ResultKind
from dicom_node.report.concepts import AI_FAMILY, concept
from dicom_node.report.context import ReportContext
from dicom_node.report.normalise import Source
from dicom_node.report.provenance import LONGEST_DESCRIPTION, header, made_by, parameters, shortened, stamp, uids
from dicom_node.report.uids import dimension_organization_uid, tracking_uid
from engine.findings import Algorithm, Findings, Segment
from engine.volume import MAXIMUM_SHEAR_DEGREES, SliceReference, Volume

SEGMENTATION = hd.sr.CodedConcept("113076", "DCM", "Segmentation")
SOURCE_IMAGE = hd.sr.CodedConcept("121322", "DCM", "Source image for image processing operation")


@dataclass(frozen=True)
class MarkedSegment:
    """A segment with its number in the SEG and the slices on which it marks anything."""

    number: int
    segment: Segment
    slices: np.ndarray


def marked_segments(findings: Findings) -> tuple[MarkedSegment, ...]:
    """The segments that mark at least one voxel, numbered from 1."""
    with_slices = [(s, np.flatnonzero(s.mask.reshape(len(s.mask), -1).any(axis=1))) for s in findings.segments]
    kept = [(s, slices) for s, slices in with_slices if len(slices)]
    return tuple(MarkedSegment(n, s, slices) for n, (s, slices) in enumerate(kept, 1))


def make_segmentation(
    findings: Findings, marked: tuple[MarkedSegment, ...], volume: Volume, source: Source, context: ReportContext
) -> Dataset:
    """A BINARY Segmentation: frames by segment, then along the normal; empty frames are left out.

    Source: PS3.3 A.51.
    """
    dataset = _skeleton(findings, marked, volume, source, context)
    dataset.Rows, dataset.Columns = volume.voxels.shape[1:]
    dataset.SegmentsOverlap = "YES" if _overlap(marked) else "NO"
    dataset.SharedFunctionalGroupsSequence = [_shared(volume)]
    dataset.PerFrameFunctionalGroupsSequence = _frames(marked, volume, source)
    dataset.NumberOfFrames = sum(len(m.slices) for m in marked)
    dataset.PixelData = _packed(marked)
    dataset["PixelData"].VR = "OB"
    del dataset.SourceImageSequence  # each frame names its own
    refer_to_source(dataset, volume.slices, source, context)
    note = _geometry_note(volume)
    description = shortened(f"AI {context.engine.title} SEG", LONGEST_DESCRIPTION - len(note)) + note
    return stamp(dataset, source, context, findings.algorithm, ResultKind.SEG, description)


def _skeleton(
    findings: Findings, marked: tuple[MarkedSegment, ...], volume: Volume, source: Source, context: ReportContext
) -> Dataset:
    stub = header(volume.slices[0].sop_instance_uid, CTImageStorage, context)  # the true references follow
    stub.Modality, stub.InstanceNumber = volume.modality, 1
    stub.FrameOfReferenceUID = source.frame_of_reference_uid
    stub.Rows = stub.Columns = 1
    stub.PixelSpacing, stub.SliceThickness = [1, 1], 1
    stub.ImagePositionPatient, stub.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    segmentation: Dataset = hd.seg.Segmentation(
        source_images=[stub],
        pixel_array=np.ones((1, 1, 1, len(marked)), np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[_description(m, findings.algorithm, context) for m in marked],
        series_number=context.series_number(ResultKind.SEG),
        instance_number=context.identity.revision,
        content_label=context.engine.content_label,
        content_description=shortened(context.identity.remark or f"AI {context.engine.title}"),
        content_creator_name="AI^",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **uids(context, findings.algorithm, ResultKind.SEG),
        **made_by(context),
    )
    return segmentation


def _description(marked: MarkedSegment, algorithm: Algorithm, context: ReportContext) -> hd.seg.SegmentDescription:
    segment = marked.segment
    item = hd.seg.SegmentDescription(
        segment_number=marked.number,
        segment_label=segment.label,
        segmented_property_category=concept(segment.category),
        segmented_property_type=concept(segment.property_type),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm.name,
            family=concept(AI_FAMILY),
            version=algorithm.version,
            source=algorithm.manufacturer,
            parameters=parameters(algorithm) or None,
        ),
        tracking_id=segment.label,
        tracking_uid=tracking_uid(context, segment.key),
        anatomic_regions=[concept(segment.anatomic_region)] if segment.anatomic_region else None,
        display_color=hd.color.CIELabColor.from_rgb(*segment.colour_rgb),
    )
    item.SegmentDescription = segment.label
    if segment.laterality and segment.anatomic_region:
        item.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [concept(segment.laterality)]
    elif segment.laterality:
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [concept(segment.laterality)]
    return item


def _overlap(marked: tuple[MarkedSegment, ...]) -> bool:
    return any(
        bool(np.logical_and(a.segment.mask[k], b.segment.mask[k]).any())
        for a, b in combinations(marked, 2)
        for k in np.intersect1d(a.slices, b.slices, assume_unique=True)
    )


def _shared(volume: Volume) -> Dataset:
    measures, orientation, groups = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [decimal(v) for v in volume.pixel_spacing_mm]
    measures.SliceThickness = decimal(volume.slice_thickness_mm or volume.spacing_mm[0])
    if volume.is_regular and len(volume.slices) > 1:
        measures.SpacingBetweenSlices = decimal(float(np.diff(volume.along_normal_mm).mean()))  # errors must not add up
    orientation.ImageOrientationPatient = [decimal(v) for v in (*volume.row_direction, *volume.column_direction)]
    groups.PixelMeasuresSequence, groups.PlaneOrientationSequence = [measures], [orientation]
    return groups


def _frames(marked: tuple[MarkedSegment, ...], volume: Volume, source: Source) -> list[Dataset]:
    """Per-frame functional groups; what frames of one slice or of one segment have in common is shared between them."""
    used = sorted({int(k) for m in marked for k in m.slices})
    derivations = {k: [derivation_of(k, volume, source)] for k in used}
    positions = {k: [_position(volume, k)] for k in used}
    frames = []
    for m in marked:
        identification = Dataset()
        identification.ReferencedSegmentNumber = m.number
        for k in (int(k) for k in m.slices):
            content, frame = Dataset(), Dataset()
            content.DimensionIndexValues = [m.number, used.index(k) + 1]
            frame.DerivationImageSequence, frame.PlanePositionSequence = derivations[k], positions[k]
            frame.FrameContentSequence, frame.SegmentIdentificationSequence = [content], [identification]
            frames.append(frame)
    return frames


def _position(volume: Volume, index: int) -> Dataset:
    position = Dataset()
    position.ImagePositionPatient = [decimal(v) for v in volume.positions_mm[index]]
    return position


def derivation_of(index: int, volume: Volume, source: Source, how: hd.sr.CodedConcept = SEGMENTATION) -> Dataset:
    """The source image of a frame that lies on a slice of the volume."""
    reference, image, derivation = volume.slices[index], Dataset(), Dataset()
    image.ReferencedSOPClassUID = source.sop_class_uid(reference.sop_instance_uid)
    image.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reference.frame_number is not None:
        image.ReferencedFrameNumber = reference.frame_number
    image.SpatialLocationsPreserved = "YES"
    image.PurposeOfReferenceCodeSequence = [SOURCE_IMAGE]
    derivation.SourceImageSequence, derivation.DerivationCodeSequence = [image], [how]
    return derivation


def _packed(marked: tuple[MarkedSegment, ...]) -> bytes:
    """Bits of all frames without gaps between them, lowest bit first, padded to an even length.

    Source: PS3.5 8.1.1 and annex D.
    """
    frames = (m.segment.mask[m.slices].reshape(-1) for m in marked)  # one segment at a time in memory
    if marked[0].segment.mask[0].size % 8 == 0:  # no byte is shared between segments
        bits = b"".join(np.packbits(f, bitorder="little").tobytes() for f in frames)
    else:
        bits = np.packbits(np.concatenate(list(frames)), bitorder="little").tobytes()
    return bits + b"\0" * (len(bits) % 2)


def refer_to_source(dataset: Dataset, slices: Sequence[SliceReference], source: Source, context: ReportContext) -> None:
    """What every multi-frame result tells of its source; its own dimension organization is derived."""
    dataset.ReferencedSeriesSequence = [_referenced_series(slices, source, context)]
    organization = dimension_organization_uid(str(dataset.SOPInstanceUID))
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    if source.body_part_examined:
        dataset.BodyPartExamined = source.body_part_examined
    for element in source.lossy:
        dataset[element.tag] = element


def _referenced_series(slices: Sequence[SliceReference], source: Source, context: ReportContext) -> Dataset:
    """The analysed series with the instances that these slices are from."""
    instances, series = [], Dataset()
    for uid in dict.fromkeys(s.sop_instance_uid for s in slices):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.sop_class_uid(uid), uid
        instances.append(item)
    series.SeriesInstanceUID, series.ReferencedInstanceSequence = context.identity.series_instance_uid, instances
    return series


def _geometry_note(volume: Volume) -> str:
    if volume.is_regular:
        return ""
    return " (tilted gantry)" if volume.shear_degrees > MAXIMUM_SHEAR_DEGREES else " (uneven slices)"


def decimal(value: float) -> str:
    """A Decimal String of at most 16 characters, as close to the value as they allow.

    Source: PS3.5 6.2, DS.
    """
    number = float(value)
    for digits in range(16, 5, -1):
        text = f"{number:.{digits}g}"
        if len(text) <= 16:  # characters of DS
            return text
    return f"{number:.5e}"
