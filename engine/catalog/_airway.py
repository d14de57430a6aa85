"""Trachea and main bronchi on a coarse CT grid, found as tubes of black air with a wall near the midline."""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage

AIRWAY_HU = -1000
HIGHEST_HU = -850
LOWEST_HU = -960
"""Limits for the darkness that tells a lumen from lung: halfway between the lungs' own HU and air."""
LARGEST_AREA_MM2 = 700.0
LARGEST_EXTENT_MM = 45.0
WALL_SHARE = 0.5
"""Share of the ring around a section that is tissue, where the lumen is darker than the lungs."""
CLOSED_WALL_SHARE = 0.7
"""The same where it is not (coarse slices blur the lumen)."""
LENGTH_MM = 20.0
OFF_CENTRE_MM = 15.0
BRIDGE_MM = 50.0
"""Gap along the body between two found lengths of the airway that are taken for one; a thin wall hides its sections."""
BRIDGED_SHARE = 0.8
"""Share of the gap's slices that must show something as dark in between."""

_SQUARE = np.ones((3, 3), bool)
Mask = Bool[np.ndarray, "slices rows columns"]
Section = Bool[np.ndarray, "rows columns"]
Spacing = tuple[float, float, float]


def find_airway(
    air: Mask,
    core: Mask,
    lung: UInt8[np.ndarray, "slices rows columns"],
    hu: Float32[np.ndarray, "slices rows columns"],
    spacing_mm: Spacing,
) -> Mask:
    """The inner part of the airway's lumen.

    Args:
        air: all air within the body.
        core: the same without the voxels next to tissue.
        lung: the network's labels, 1 right and 2 left.
        hu: on the same grid, slices towards the head.
        spacing_mm: (slice, row, column).
    """
    dark = core & (hu < HIGHEST_HU)
    darker = hu < _darkness(hu, core & (lung > 0))
    sections = np.zeros(core.shape, bool)
    for index in np.flatnonzero(dark.any(axis=(1, 2))):
        plane = dark[index] & darker[index]
        sections[index] = _sections(plane, air[index], spacing_mm, WALL_SHARE)
        sections[index] |= _sections(dark[index], air[index], spacing_mm, CLOSED_WALL_SHARE)
    middle = _midline(lung)
    found = np.zeros(core.shape, bool)
    parts, _ = ndimage.label(sections, structure=np.ones((3, 3, 3), bool))
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        off_mm = max(box[2].start - middle, middle - box[2].stop) * spacing_mm[2]
        if off_mm < OFF_CENTRE_MM and (box[0].stop - box[0].start) * spacing_mm[0] > LENGTH_MM:
            found[box] |= parts[box] == number
    found = _bridge(found, dark, spacing_mm)
    return found | (ndimage.binary_dilation(found, structure=_SQUARE[None]) & dark)


def _bridge(found: Mask, dark: Mask, spacing_mm: Spacing) -> Mask:
    """Closes gaps: each section in between is drawn from the nearest ones above and below."""
    result = found.copy()
    held = np.flatnonzero(found.any(axis=(1, 2)))
    for below, above in pairwise(held):
        gap = above - below
        if gap == 1 or gap * spacing_mm[0] > BRIDGE_MM:
            continue
        ends = [_inward_mm(found[index], spacing_mm) for index in (below, above)]
        drawn = [ends[0] + (ends[1] - ends[0]) * step / gap > 0 for step in range(1, gap)]
        sections = np.stack(drawn) & dark[below + 1 : above]
        if np.count_nonzero(sections.any(axis=(1, 2))) >= BRIDGED_SHARE * len(sections):
            result[below + 1 : above] |= sections
    return result


def _inward_mm(section: Section, spacing_mm: Spacing) -> Float32[np.ndarray, "rows columns"]:
    """Distance to the section's border, positive within."""
    within = ndimage.distance_transform_edt(section, sampling=spacing_mm[1:])
    beyond = ndimage.distance_transform_edt(~section, sampling=spacing_mm[1:])
    return np.asarray(within - beyond, np.float32)


def _darkness(hu: Float32[np.ndarray, "slices rows columns"], within_lung: Mask) -> float:
    if not within_lung.any():
        return HIGHEST_HU
    return float(np.clip((np.median(hu[within_lung]) + AIRWAY_HU) / 2, LOWEST_HU, HIGHEST_HU))


def _sections(dark: Section, air: Section, spacing_mm: Spacing, wall_share: float) -> Section:
    """The patches of one slice that could be a section of the airway: small, and closed by a wall."""
    found = np.zeros(dark.shape, bool)
    patches, _ = ndimage.label(dark)
    for number, (rows, columns) in enumerate(ndimage.find_objects(patches), start=1):
        around = (slice(max(0, rows.start - 3), rows.stop + 3), slice(max(0, columns.start - 3), columns.stop + 3))
        patch = patches[around] == number
        extent_mm = max((rows.stop - rows.start) * spacing_mm[1], (columns.stop - columns.start) * spacing_mm[2])
        if patch.sum() * spacing_mm[1] * spacing_mm[2] > LARGEST_AREA_MM2 or extent_mm > LARGEST_EXTENT_MM:
            continue
        lumen = ndimage.binary_dilation(patch, structure=_SQUARE)
        ring = ndimage.binary_dilation(lumen, structure=_SQUARE) & ~lumen
        if np.count_nonzero(ring & ~air[around]) > wall_share * np.count_nonzero(ring):
            found[around] |= patch
    return found


def _midline(lung: UInt8[np.ndarray, "slices rows columns"]) -> float:
    """Column between the two lungs; the grid's middle where one is missing."""
    centres = [np.nonzero(lung == side)[2].mean() for side in (1, 2) if (lung == side).any()]
    return float(np.mean(centres)) if len(centres) == 2 else lung.shape[2] / 2
