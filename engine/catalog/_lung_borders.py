"""From a coarse network answer to lungs: the network chooses and names, the air draws the border.

All decisions fall on the canonical grid (3 mm); the full resolution then only asks each voxel whether it is air within a lung's
zone, or lies inside the closed lung (vessels, nodules, consolidation).
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its own documentation's name
from jaxtyping import Bool, Float32, Float64, UInt8
from scipy import ndimage

RIGHT, LEFT, OTHER = 1, 2, 3
AIR_HU = -320
COARSE_AIR_HU = -400
"""On the coarse grid, where a voxel on the border holds some tissue."""
CLOSING_MM = 9.0
ZONE_MM = 6.0
"""How far beyond the coarse air a lung's zone reaches, so that the full resolution decides the border."""
CHOSEN_SHARE = 0.25
"""Share of an air space that the network must call lung."""
EDGE_SHARE = 0.6
"""The same where the air is open to the edge of the image."""
TOUCHED_SHARE = 0.05
"""Below it, an air space has nothing to do with the lungs the network sees."""
NECK_PART_ML = 50.0
"""Air that joins a lung by a neck and is larger than this without the network calling it lung is not lung."""
BODY_HU = -300
AIRWAY_HU = -1000
TRACHEA_HU = -850
"""Upper limit for the airway; lower where the lungs themselves are dark."""
DARKEST_THRESHOLD_HU = -960
TRACHEA_AREA_MM2 = 700.0
TRACHEA_EXTENT_MM = 45.0
TRACHEA_DISTANCE_MM = 4.0
TRACHEA_LENGTH_MM = 20.0
TRACHEA_OFF_CENTRE_MM = 15.0
PART_SHARE = 0.05
"""Parts of a lung smaller than this share of its largest part are dropped."""

Coarse = Float32[np.ndarray, "slices rows columns"]
Spacing = tuple[float, float, float]
Labels = UInt8[np.ndarray, "slices rows columns"]
Mask = Bool[np.ndarray, "slices rows columns"]


@dataclass(frozen=True)
class LungZones:
    """What the full resolution needs to know, on the canonical grid.

    Attributes:
        allowed: 1 where air belongs to a lung.
        inside: 1 within the closed lungs, whatever the tissue.
        side: +1 towards the left lung, -1 towards the right one.
    """

    allowed: Float32[np.ndarray, "slices rows columns"]
    inside: Float32[np.ndarray, "slices rows columns"]
    side: Float32[np.ndarray, "slices rows columns"]


def find_zones(hu: Coarse, network: Labels, spacing_mm: Spacing) -> LungZones:
    """The lungs' zones from coarse HU and the network's labels (0 background, 1 right, 2 left)."""
    inside = _inside_body(hu, network)
    air = (hu < COARSE_AIR_HU) & inside
    lung = _keep_large_parts(np.where(inside, network, 0).astype(np.uint8))
    regions = _divide_air(air, lung, hu, spacing_mm)
    solid = ndimage.binary_erosion(lung > 0) & ~air
    sides = _nearest_side(lung, spacing_mm)
    found = np.where(air & (regions != OTHER), regions, np.where(solid, sides, 0)).astype(np.uint8)
    closed = _keep_large_parts(_close(_keep_large_parts(found), regions == OTHER, spacing_mm))
    other_air = (air & ((regions == OTHER) | (regions == 0))) | ~inside
    reach = ndimage.distance_transform_edt(closed == 0, sampling=spacing_mm) <= ZONE_MM
    side = np.where(_nearest_side(closed, spacing_mm) == LEFT, 1.0, -1.0)
    return LungZones(
        allowed=(reach & ~other_air).astype(np.float32),
        inside=(closed > 0).astype(np.float32),
        side=side.astype(np.float32),
    )


def _inside_body(hu: Coarse, network: Labels) -> Mask:
    """The largest object of tissue with all it encloses in axial slices; table and clothes come off by opening.

    What is open to the edge of a slice is outside, unless the network calls much of it lung (the field of view cuts the lung).
    """
    tissue = ndimage.binary_opening(hu > BODY_HU, structure=np.ones((1, 3, 3), bool))
    parts, count = ndimage.label(tissue)
    if not count:
        return np.zeros(hu.shape, bool)
    size = np.bincount(parts.ravel())
    size[0] = 0
    inside = parts == size.argmax()
    for index, body in enumerate(inside):
        spaces, number = ndimage.label(~body)
        area = np.bincount(spaces.ravel(), minlength=number + 1)
        chosen = np.bincount(spaces[network[index] > 0], minlength=number + 1) > EDGE_SHARE * area
        edge = np.concatenate([spaces[0], spaces[-1], spaces[:, 0], spaces[:, -1]])
        chosen[np.setdiff1d(np.arange(number + 1), edge)] = True
        inside[index] |= chosen[spaces]
    return np.asarray(inside)


def _divide_air(air: Mask, lung: Labels, hu: Coarse, spacing_mm: Spacing) -> Labels:
    """Which air is right lung, left lung or something else; a watershed separates what narrow necks join."""
    core = ndimage.binary_erosion(air)
    is_lung = _chosen(core, lung, CHOSEN_SHARE)
    markers = np.zeros(air.shape, np.uint8)
    agreed = is_lung & ndimage.binary_erosion(lung > 0)
    markers[agreed] = lung[agreed]
    markers[_foreign(air, core & ~is_lung, lung, spacing_mm)] = OTHER
    markers[_trachea(core, lung, hu, spacing_mm)] = OTHER
    depth = ndimage.distance_transform_edt(air, sampling=spacing_mm).astype(np.float32)
    flooded = sitk.MorphologicalWatershedFromMarkers(  # type: ignore[no-untyped-call]
        sitk.GetImageFromArray(-depth), sitk.GetImageFromArray(markers), markWatershedLine=False, fullyConnected=False
    )
    return np.where(air, sitk.GetArrayFromImage(flooded), 0).astype(np.uint8)


def _chosen(air: Mask, lung: Labels, share: float) -> Mask:
    """The connected parts of which the network calls enough lung."""
    parts, count = ndimage.label(air)
    size = np.bincount(parts.ravel(), minlength=count + 1)
    chosen = np.bincount(parts[lung > 0], minlength=count + 1) > share * size
    chosen[0] = False
    return np.asarray(chosen[parts])


def _foreign(air: Mask, rest: Mask, lung: Labels, spacing_mm: Spacing) -> Mask:
    """Air that is no lung: parts of their own, and large parts that hang on a lung by a neck (stomach, outside)."""
    parts, count = ndimage.label(rest)
    size_ml = np.bincount(parts.ravel(), minlength=count + 1) * np.prod(spacing_mm) / 1000
    large = size_ml > NECK_PART_ML
    large[0] = False
    return np.asarray(large[parts] | (air & ~_chosen(air, lung, TOUCHED_SHARE)))


def _trachea(core: Mask, lung: Labels, hu: Coarse, spacing_mm: Spacing) -> Mask:
    """Trachea and main bronchi: small patches of black air, off the network's lungs, that stack to a tube at the midline."""
    typical_hu = float(np.median(hu[core & (lung > 0)])) if (core & (lung > 0)).any() else TRACHEA_HU
    dark_hu = np.clip((typical_hu + AIRWAY_HU) / 2, DARKEST_THRESHOLD_HU, TRACHEA_HU)
    dark = (hu < dark_hu) & core & (lung == 0)
    away_mm = ndimage.distance_transform_edt(lung == 0, sampling=spacing_mm)
    middle = _midline(lung)
    patches = np.zeros(core.shape, bool)
    for index in np.flatnonzero(dark.any(axis=(1, 2))):
        patches[index] = _tube_sections(dark[index], away_mm[index], spacing_mm)
    found = np.zeros(core.shape, bool)
    parts, _ = ndimage.label(patches, structure=np.ones((3, 3, 3)))
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        off_mm = max(box[2].start - middle, middle - box[2].stop) * spacing_mm[2]
        if off_mm < TRACHEA_OFF_CENTRE_MM and (box[0].stop - box[0].start) * spacing_mm[0] > TRACHEA_LENGTH_MM:
            found[box] |= parts[box] == number
    return found


def _tube_sections(
    dark: Bool[np.ndarray, "rows columns"], away_mm: Float64[np.ndarray, "rows columns"], spacing_mm: Spacing
) -> Mask:
    """The patches of one slice that could be a section of the airway."""
    found = np.zeros(dark.shape, bool)
    patches, _ = ndimage.label(dark)
    for number, box in enumerate(ndimage.find_objects(patches), start=1):
        patch = patches[box] == number
        extent_mm = max(patch.shape[0] * spacing_mm[1], patch.shape[1] * spacing_mm[2])
        small = patch.sum() * spacing_mm[1] * spacing_mm[2] < TRACHEA_AREA_MM2 and extent_mm < TRACHEA_EXTENT_MM
        if small and away_mm[box][patch].mean() > TRACHEA_DISTANCE_MM:
            found[box] |= patch
    return found


def _midline(lung: Labels) -> float:
    """Column between the two lungs; the grid's middle where one is missing."""
    centres = [np.nonzero(lung == side)[2].mean() for side in (RIGHT, LEFT) if (lung == side).any()]
    return float(np.mean(centres)) if len(centres) == 2 else lung.shape[2] / 2


def _nearest_side(lung: Labels, spacing_mm: Spacing) -> Labels:
    """RIGHT or LEFT for every voxel, after the nearest lung voxel."""
    if not lung.any():
        return np.full(lung.shape, RIGHT, np.uint8)
    nearest = ndimage.distance_transform_edt(lung == 0, sampling=spacing_mm, return_distances=False, return_indices=True)
    return np.asarray(lung[tuple(nearest)])


def _keep_large_parts(labels: Labels) -> Labels:
    """Each side without parts much smaller than its largest."""
    result = np.zeros_like(labels)
    for side in (RIGHT, LEFT):
        parts, count = ndimage.label(labels == side)
        if count:
            size = np.bincount(parts.ravel())
            size[0] = 0
            result[(size >= PART_SHARE * size.max())[parts] & (parts > 0)] = side
    return result


def _close(labels: Labels, forbidden: Mask, spacing_mm: Spacing) -> Labels:
    """Each side closed by a ball and its holes filled slice by slice."""
    radius = [max(1, round(CLOSING_MM / step)) for step in reversed(spacing_mm)]
    result = labels.copy()
    for side in (RIGHT, LEFT):
        image = sitk.GetImageFromArray((labels == side).astype(np.uint8))
        solid = sitk.BinaryMorphologicalClosing(image, radius, sitk.sitkBall)  # type: ignore[no-untyped-call]
        closed = sitk.GetArrayFromImage(solid) > 0
        for index in np.flatnonzero(closed.any(axis=(1, 2))):
            closed[index] = ndimage.binary_fill_holes(closed[index])
        result[closed & (result == 0) & ~forbidden] = side
    return result
