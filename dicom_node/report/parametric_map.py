"""Explanations as Parametric Maps: the heat itself, where it lies in the patient."""

from typing import Any

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicom_node.model import ResultKind
from dicom_node.report.concepts import VISUAL_EXPLANATION, concept
from dicom_node.report.context import MadeResult, ReportContext
from dicom_node.report.normalise import Source
from dicom_node.report.provenance import header, made_by, shortened, stamp, uids
from dicom_node.report.segmentation import decimal, derivation_of, refer_to_source
from engine.findings import Explanation, Findings
from engine.volume import Volume

FULL_SCALE = 65535
"""Stored value of heat 1: 16 bits, which more viewers know than floating point."""
LABEL_LENGTH = 16  # characters of SH


def make_parametric_maps(findings: Findings, volume: Volume, source: Source, context: ReportContext) -> list[MadeResult]:
    """One for each explanation, on its box of the source grid.

    Source: PS3.3 A.75; C.7.6.16.2.11 (Real World Value Mapping).
    """
    made = []
    for part, explanation in enumerate(findings.explanations):
        named = uids(context, findings.algorithm, ResultKind.PM, part)
        dataset = _map(explanation, volume, context, named)
        _place(dataset, explanation, volume, source)
        first = explanation.first[0]
        shown = volume.slices[first : first + len(explanation.heat)]
        refer_to_source(dataset, shown, source, context)
        dataset.FrameOfReferenceUID = source.frame_of_reference_uid
        stamp(dataset, source, context, findings.algorithm, ResultKind.PM, f"AI {context.engine.title} explanation")
        dataset.InstanceNumber = part + 1
        made.append(MadeResult(ResultKind.PM, 0, dataset, part))
    return made


def _map(explanation: Explanation, volume: Volume, context: ReportContext, named: dict[str, Any]) -> Dataset:
    """The object without its true references: highdicom sees slices that name nobody."""
    stored = np.round(explanation.heat.clip(0, 1) * FULL_SCALE).astype(np.uint16)
    count = len(stored)
    corners = _corners(explanation, volume)
    orientation = [float(v) for v in (*volume.row_direction, *volume.column_direction)]
    dataset: Dataset = hd.pm.ParametricMap(
        source_images=[_stub(volume, context)],
        pixel_array=stored,
        series_number=context.series_number(ResultKind.PM),
        instance_number=1,
        contains_recognizable_visual_features=False,
        derived_pixel_contrast="NONE",  # QUANTITY is younger than validators
        real_world_value_mappings=[_mapping()],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=FULL_SCALE / 2, window_width=FULL_SCALE)],
        content_label=context.engine.content_label,
        content_description=shortened(explanation.label),
        content_creator_name="AI^",
        content_qualification=context.identity.content_qualification,
        plane_positions=[hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, corners[k].tolist()) for k in range(count)],
        plane_orientation=hd.PlaneOrientationSequence(hd.CoordinateSystemNames.PATIENT, orientation),
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=volume.pixel_spacing_mm,
            slice_thickness=volume.slice_thickness_mm or volume.spacing_mm[0],
            spacing_between_slices=abs(volume.spacing_mm[0]) if volume.is_regular and len(volume.slices) > 1 else None,
        ),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **named,
        **made_by(context),
    )
    return dataset


def _mapping() -> hd.pm.RealWorldValueMapping:
    """Stored values to heat from 0 to 1, a number without a unit."""
    return hd.pm.RealWorldValueMapping(
        lut_label="HEAT",
        lut_explanation="Relative importance for the result",
        unit=codes.UCUM.NoUnits,
        value_range=(0, FULL_SCALE),
        slope=1 / FULL_SCALE,
        intercept=0.0,
    )


def _corners(explanation: Explanation, volume: Volume) -> np.ndarray:
    """Centres [slice, xyz] of the box's first voxels, patient LPS mm."""
    first, row, column = explanation.first
    along = (
        volume.column_direction * volume.pixel_spacing_mm[0] * row + volume.row_direction * volume.pixel_spacing_mm[1] * column
    )
    return np.asarray(volume.positions_mm[first : first + len(explanation.heat)] + along)


def _stub(volume: Volume, context: ReportContext) -> Dataset:
    stub = header(volume.slices[0].sop_instance_uid, CTImageStorage, context)  # the true references follow
    stub.Modality, stub.InstanceNumber, stub.FrameOfReferenceUID = volume.modality, 1, "2.25.0"
    stub.Rows = stub.Columns = 1
    stub.PixelSpacing, stub.SliceThickness = [1, 1], 1
    stub.ImagePositionPatient, stub.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    return stub


def _place(dataset: Dataset, explanation: Explanation, volume: Volume, source: Source) -> None:
    """Positions as exact as a Decimal String allows, and for each frame the slice that it lies on."""
    corners = _corners(explanation, volume)
    explained = concept(VISUAL_EXPLANATION)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0]
        k = int(np.linalg.norm(corners - np.array(position.ImagePositionPatient, float), axis=1).argmin())
        position.ImagePositionPatient = [decimal(v) for v in corners[k]]
        frame.DerivationImageSequence = [derivation_of(explanation.first[0] + k, volume, source, explained)]
    if "SourceImageSequence" in dataset:
        del dataset.SourceImageSequence  # each frame names its own
