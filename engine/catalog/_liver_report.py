"""What the liver engine claims: segments with their numbers, a judgement in words, and the limits of this result."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from engine.catalog._diameters import axes_of
from engine.catalog._liver_lesions import attenuation_class, split
from engine.catalog._liver_sense import is_cut
from engine.findings import Code, Evaluation, Measurement, Segment
from engine.geometry.words import count
from engine.volume import Volume

MOST_LESIONS = 20
"""Segments of their own; the others are one segment together."""
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
MORPHOLOGY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LIVER = Code("10200004", "SCT", "Liver")
LESION = Code("52988006", "SCT", "Lesion")
_ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
_HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
_MEAN = Code("373098007", "SCT", "Mean")
_LONG_AXIS = Code("103339001", "SCT", "Long Axis")
_SHORT_AXIS = Code("103340004", "SCT", "Short Axis")
_MILLIMETRE = Code("mm", "UCUM", "millimeter")
_DENSITY = Code("111035", "DCM", "Lesion Density")
_LESION_FOUND = Code("300577008", "SCT", "Finding of lesion")
_PREVIEW = "The lesions are a preview, for research only: half of all lesions are missed, and places without one are marked."
_COLOURS = ((230, 60, 60), (240, 150, 40), (235, 215, 60), (200, 80, 200), (90, 200, 220))

Mask = Bool[np.ndarray, "slices rows columns"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Segments, judgements of the whole, and limits."""

    segments: tuple[Segment, ...]
    evaluations: tuple[Evaluation, ...]
    remarks: tuple[str, ...]


def answer(volume: Volume, liver: Mask, lesions: Mask, level_hu: float) -> Answer:
    """Liver and lesions on the source grid as segments, the largest lesion first."""
    box = _box(liver)
    numbers, found = split(lesions[box])
    segments = [_liver_segment(volume, liver)]
    for number in range(1, min(found, MOST_LESIONS) + 1):
        mask = np.zeros_like(lesions)
        mask[box] = numbers == number
        segments.append(_lesion_segment(volume, mask, number, level_hu))
    if found > MOST_LESIONS:
        mask = np.zeros_like(lesions)
        mask[box] = numbers > MOST_LESIONS
        segments.append(_segment("further-lesions", "Further liver lesions", mask, _COLOURS[0], _mean(volume, mask)))
    told = f"{count(found, 'lesion')} found" if found else "no lesion found"
    evaluations = (Evaluation(_LESION_FOUND, f"{told}; liver {level_hu:.0f} HU"),)
    return Answer(tuple(segments), evaluations, tuple(_remarks(volume, liver, found)))


def _remarks(volume: Volume, liver: Mask, found: int) -> list[str]:
    remarks = [*volume.remarks, _PREVIEW]
    if is_cut(liver):
        remarks.append("The liver is not wholly within the scan; its volume is that of the part shown.")
    if found > MOST_LESIONS:
        remarks.append(f"{found} lesions: all but the {MOST_LESIONS} largest are in one segment, not measured one by one.")
    if volume.spacing_mm[0] > 5:
        remarks.append(f"Slices {volume.spacing_mm[0]:.1f} mm apart: lesions smaller than that may be missed.")
    return remarks


def _box(mask: Mask) -> tuple[slice, slice, slice]:
    ranges = []
    for axis in range(3):
        held = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        ranges.append(slice(int(held[0]), int(held[-1]) + 1))
    return ranges[0], ranges[1], ranges[2]


def _liver_segment(volume: Volume, mask: Mask) -> Segment:
    return Segment(
        key="liver",
        label="Liver",
        mask=mask,
        category=ANATOMY,
        property_type=LIVER,
        colour_rgb=(221, 130, 101),
        measurements=(_mean(volume, mask),),
    )


def _lesion_segment(volume: Volume, mask: Mask, number: int, level_hu: float) -> Segment:
    diameters = axes_of(volume, mask)
    numbers = (
        Measurement(_LONG_AXIS, diameters.long_mm, _MILLIMETRE),
        Measurement(_SHORT_AXIS, diameters.short_mm, _MILLIMETRE),
        _mean(volume, mask),
    )
    words = Evaluation(_DENSITY, attenuation_class(volume.voxels[mask], level_hu))
    colour = _COLOURS[(number - 1) % len(_COLOURS)]
    return _segment(f"lesion-{number}", f"Liver lesion {number}", mask, colour, *numbers, evaluations=(words,))


def _segment(
    key: str,
    label: str,
    mask: Mask,
    colour_rgb: tuple[int, int, int],
    *measurements: Measurement,
    evaluations: tuple[Evaluation, ...] = (),
) -> Segment:
    return Segment(
        key=key,
        label=label,
        mask=mask,
        category=MORPHOLOGY,
        property_type=LESION,
        anatomic_region=LIVER,
        colour_rgb=colour_rgb,
        measurements=measurements,
        evaluations=evaluations,
    )


def _mean(volume: Volume, mask: Mask) -> Measurement:
    return Measurement(_ATTENUATION, float(volume.voxels[mask].mean(dtype=np.float64)), _HOUNSFIELD, _MEAN)
