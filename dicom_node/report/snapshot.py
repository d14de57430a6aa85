"""The overlay as a Secondary Capture: every PACS shows it, also where there can be no SEG."""

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.model import ResultKind
from dicom_node.report.context import ReportContext
from dicom_node.report.normalise import Source
from dicom_node.report.overlay import render_overlay, side
from dicom_node.report.provenance import header, stamp, uids
from engine.findings import Findings
from engine.volume import Volume


def make_snapshot(findings: Findings, volume: Volume, source: Source, context: ReportContext) -> Dataset:
    """A colour picture of a few slices with the segments drawn in; not for measuring.

    Source: PS3.3 A.8.1.
    """
    first = volume.slices[0].sop_instance_uid
    dataset: Dataset = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=header(first, source.sop_class_uid(first), context),
        pixel_array=np.asarray(render_overlay(volume, findings)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=(side(volume.row_direction), side(volume.column_direction)),
        series_number=context.series_number(ResultKind.SC),
        instance_number=context.revision,
        manufacturer=context.equipment.manufacturer,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **uids(context, findings.algorithm, ResultKind.SC),
    )
    if source.body_part_examined:
        dataset.BodyPartExamined = source.body_part_examined
    else:
        dataset.Laterality = ""  # type 2C: unknown whether the part is one of a pair
    dataset.BurnedInAnnotation = "NO"  # nothing in it identifies the patient
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.sop_class_uid(first), first
    dataset.SourceImageSequence = [reference]
    description = f"AI {context.engine.title} snapshot (not for measuring)"
    return stamp(dataset, source, context, findings.algorithm, ResultKind.SC, description)
