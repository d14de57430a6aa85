"""Secondary Captures: pictures that every PACS shows, also where there can be no SEG."""

from collections.abc import Iterator, Sequence
from typing import Any

import highdicom as hd
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.model import ResultKind
from dicom_node.report.concepts import VISUAL_EXPLANATION, concept
from dicom_node.report.context import Analysed, MadeResult, ReportContext
from dicom_node.report.heat_maps import projection_view, render_explanation, render_projection_explanation
from dicom_node.report.normalise import Source
from dicom_node.report.overlay import render_overlay
from dicom_node.report.panels import LINE, panel, side, side_by_side, write_line
from dicom_node.report.provenance import header, shortened, stamp, uids
from engine.findings import Explanation, Findings, ImageFinding
from engine.projection import ProjectionImage
from engine.volume import SliceReference, Volume

NUMBERS_OF_A_PART = 1000
"""Instance Numbers: the revision for the overview, 1000 more for each further picture."""
MOST_IMAGES = 4
LONGEST_DERIVATION = 1024  # characters of ST


def make_captures(findings: Findings, analysed: Analysed, source: Source, context: ReportContext) -> list[MadeResult]:
    """Colour pictures, not for measuring: what was found (part 0), then one for each explanation.

    Source: PS3.3 A.8.1.
    """
    pictures = [_overview(findings, analysed, source), *_explanations(findings, analysed, source)]
    made = []
    for part, (picture, shown, words) in enumerate(pictures):
        dataset = _capture(picture, shown, source, context, uids(context, findings.algorithm, ResultKind.SC, part))
        _orient(dataset, analysed, source, shown)
        if part:
            dataset.DerivationDescription = words[:LONGEST_DERIVATION]
            dataset.DerivationCodeSequence = [concept(VISUAL_EXPLANATION)]
        description = f"AI {context.engine.title} snapshot (not for measuring)"
        stamp(dataset, source, context, findings.algorithm, ResultKind.SC, description)
        dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = dataset.ContentDate, dataset.ContentTime
        dataset.InstanceNumber = context.identity.revision + NUMBERS_OF_A_PART * part
        made.append(MadeResult(ResultKind.SC, 0, dataset, part))
    return made


Picture = tuple[Image.Image, Sequence[SliceReference], str]
"""What is shown, the images that it shows, and its caption."""


def _overview(findings: Findings, analysed: Analysed, source: Source) -> Picture:
    if isinstance(analysed, Volume):
        return render_overlay(analysed, findings), analysed.slices[:1], ""
    images = list(analysed or ())[:MOST_IMAGES]
    panels = [panel(projection_view(image, _letters(image, source))) for image in images]
    lines = [line for f in findings.images if f.image < len(images) for line in _claims(f)]
    picture, top = side_by_side(panels, len(lines) or 1)
    for n, line in enumerate(lines or [findings.reason or findings.outcome.value]):
        write_line(picture, top + LINE * n, line)
    return picture, [image.source for image in images], ""


def _claims(finding: ImageFinding) -> Iterator[str]:
    yield f"{finding.label} (image {finding.image + 1})"
    yield from (f"    {m.name.meaning}: {m.value:.3g} {m.unit.value}" for m in finding.measurements)
    for evaluation in finding.evaluations:
        value = evaluation.value if isinstance(evaluation.value, str) else evaluation.value.meaning
        yield f"    {evaluation.name.meaning}: {value}"


def _explanations(findings: Findings, analysed: Analysed, source: Source) -> Iterator[Picture]:
    for explanation in findings.explanations:
        if isinstance(analysed, Volume):
            first = explanation.first[0]
            shown = list(analysed.slices[first : first + len(explanation.heat)])
            yield render_explanation(analysed, explanation), shown, _caption(explanation)
        elif analysed:
            image = analysed[explanation.first[0]]
            picture = render_projection_explanation(image, _letters(image, source), explanation)
            yield picture, [image.source], _caption(explanation)


def _caption(explanation: Explanation) -> str:
    return shortened(f"{explanation.label}; not for measuring", LONGEST_DERIVATION)


def _letters(image: ProjectionImage, source: Source) -> tuple[str, str, str, str]:
    """Sides by Patient Orientation; empty where the source has none."""
    right, down = source.instance(image.source.sop_instance_uid).patient_orientation or ("", "")
    return _opposite(right), right, _opposite(down), down


def _opposite(letters: str) -> str:
    return letters.translate(str.maketrans("RLAPHF", "LRPAFH"))


def _orient(dataset: Dataset, analysed: Analysed, source: Source, shown: Sequence[SliceReference]) -> None:
    if not isinstance(analysed, Volume):
        told = source.instance(shown[0].sop_instance_uid).patient_orientation
        dataset.PatientOrientation = list(told) if told else ""
    else:
        dataset.PatientOrientation = [side(analysed.row_direction), side(analysed.column_direction)]


def _capture(
    picture: Image.Image, shown: Sequence[SliceReference], source: Source, context: ReportContext, named: dict[str, Any]
) -> Dataset:
    first = source.instance(shown[0].sop_instance_uid)
    dataset: Dataset = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=header(first.sop_instance_uid, first.sop_class_uid, context),
        pixel_array=np.asarray(picture),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # highdicom asks for one; the true one follows
        series_number=context.series_number(ResultKind.SC),
        instance_number=context.identity.revision,
        manufacturer=context.identity.equipment.manufacturer,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **named,
    )
    if source.body_part_examined:
        dataset.BodyPartExamined = source.body_part_examined
    else:
        dataset.Laterality = ""  # type 2C: unknown whether the part is one of a pair
    dataset.BurnedInAnnotation = "NO"  # nothing in it identifies the patient
    dataset.SourceImageSequence = [_reference(uid, source) for uid in dict.fromkeys(s.sop_instance_uid for s in shown)]
    return dataset


def _reference(sop_instance_uid: str, source: Source) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.sop_class_uid(sop_instance_uid), sop_instance_uid
    return item
