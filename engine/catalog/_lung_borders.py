"""From a coarse network answer to lungs: the network chooses and names, the air draws the border.

All decisions fall on the canonical grid (3 mm); the full resolution then only asks each voxel whether it is air within a lung's
zone, or lies inside the closed lung (vessels, nodules, consolidation).
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its own documentation's name
from jaxtyping import Bool, Float32, Int, UInt8
from scipy import ndimage

from engine.catalog._airway import find_airway

RIGHT, LEFT, OTHER = 1, 2, 3
AIRWAY = 3
"""What a network may name beside the lungs."""
AIR_HU = -320
"""No border of a lung lies above it."""
LOWEST_BORDER_HU = -450
SOFT_TISSUE_HU = 40
COARSE_AIR_HU = -400
"""On the coarse grid, where a voxel on the border holds some tissue."""
LARGEST_OPENING_MM2 = 120.0
"""Of a hole into the next slice: a hilar vessel's at most; the dome of the diaphragm opens far wider."""
CLOSING_MM = 6.0
ZONE_MM = 6.0
"""How far beyond the coarse air a lung's zone reaches, so that the full resolution decides the border."""
CHOSEN_SHARE = 0.15
"""Share of an air space that the network must call lung."""
EDGE_SHARE = 0.6
"""The same where the air is open to the edge of the image."""
OPEN_LUNG_SHARE = 0.5
"""Share of the largest slice of one of the network's lungs that a slice must have outside, and nearly all of its own, to be
lung whose chest is one space with the air around the patient (a thin wall)."""
OPEN_LUNG_VOXELS = 2
"""How far beyond what the network calls lung that lung reaches."""
TOUCHED_SHARE = 0.05
"""Below it, an air space has nothing to do with the lungs the network sees."""
NECK_PART_ML = 50.0
"""Air that joins a lung by a neck and is larger than this without the network calling it lung is not lung."""
BODY_HU = -300
GAS_HU = -960
"""Parts of air of which the median is darker than this are gas (bowel, stomach), unless they are ..."""
EMPTY_LUNG_SHARE, EMPTY_LUNG_ML = 0.6, 300.0
"""... so much by the network's word and so large as empty, emphysematous lungs are."""
OPEN_AIR_HU = -1000
SMALL_PART_SHARE = 0.2
"""Parts smaller than this share of the largest are gas when darker than halfway from it to open air."""
SIDE_DEPTHS_MM = (3.0, 6.0, 9.0, 12.0, 15.0)
"""Air at least this far from tissue falls apart into the lungs; where they touch, only the deeper parts do."""
MINORITY_SHARE = 0.25
"""Up to this share of a part the network may name the other side."""
MARGIN_MM = 45.0
"""How far beyond the network's lungs missed lung is looked for."""
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
        border_hu: halfway between the lungs' own density and soft tissue; what is darker is air.
    """

    allowed: Float32[np.ndarray, "slices rows columns"]
    inside: Float32[np.ndarray, "slices rows columns"]
    side: Float32[np.ndarray, "slices rows columns"]
    border_hu: float


def find_zones(hu: Coarse, network: Labels, spacing_mm: Spacing) -> LungZones:
    """The lungs' zones from coarse HU and the network's labels (0 background, 1 right, 2 left; perhaps 3 airway)."""
    named = np.where(network == AIRWAY, 0, network).astype(np.uint8)
    inside = _inside_body(hu, named)
    lung = _keep_large_parts(np.where(inside, named, 0).astype(np.uint8))
    allowed, within, side = (np.zeros(hu.shape, np.float32) for _ in range(3))
    if lung.any():
        box = _box_around(lung, spacing_mm)
        cut = _zones_within(hu[box], lung[box], network[box] == AIRWAY, inside[box], spacing_mm)
        for whole, part in zip((allowed, within, side), cut, strict=True):
            whole[box] = part
    return LungZones(allowed, within, side, _border_hu(hu, lung))


def _border_hu(hu: Coarse, lung: Labels) -> float:
    """Where the edge of a lung lies once the scanner has blurred it."""
    within = hu[(lung > 0) & (hu < COARSE_AIR_HU)]
    typical_hu = float(np.median(within)) if within.size else OPEN_AIR_HU
    return float(np.clip((typical_hu + SOFT_TISSUE_HU) / 2, LOWEST_BORDER_HU, AIR_HU))


def _box_around(lung: Labels, spacing_mm: Spacing) -> tuple[slice, slice, slice]:
    (box,) = ndimage.find_objects((lung > 0).astype(np.uint8))
    wider = [
        slice(max(0, part.start - round(MARGIN_MM / step)), part.stop + round(MARGIN_MM / step))
        for part, step in zip(box, spacing_mm, strict=True)
    ]
    return wider[0], wider[1], wider[2]


def _zones_within(hu: Coarse, lung: Labels, airway: Mask, inside: Mask, spacing_mm: Spacing) -> tuple[Coarse, Coarse, Coarse]:
    """Allowed, inside and side of the zones."""
    air = (hu < COARSE_AIR_HU) & inside
    regions = _divide_air(air, lung, airway, hu, spacing_mm)
    lung_air = np.where(regions == OTHER, 0, regions).astype(np.uint8)
    solid = ndimage.binary_erosion(lung > 0) & ~air
    found = np.where(solid, _nearest_side(lung_air if lung_air.any() else lung, spacing_mm), lung_air)
    kept = _keep_large_parts(found)
    foreign = ndimage.binary_dilation(regions == OTHER) & (lung_air == 0)
    closed = _keep_large_parts(_close(kept, foreign, spacing_mm))
    if not closed.any():
        nothing = np.zeros(hu.shape, np.float32)
        return nothing, nothing, nothing
    reach = ndimage.distance_transform_edt(kept == 0, sampling=spacing_mm) <= ZONE_MM
    allowed = reach & inside & ~foreign & ~(air & (lung_air == 0))
    side = np.where(_nearest_side(closed, spacing_mm) == LEFT, 1.0, -1.0)
    return allowed.astype(np.float32), (closed > 0).astype(np.float32), side.astype(np.float32)


def _inside_body(hu: Coarse, network: Labels) -> Mask:
    """The largest object of tissue with all it encloses in axial slices; table and clothes come off by opening.

    What is open to the edge of a slice is outside, unless the network calls much of it lung (the field of view cuts the lung).
    """
    padded = np.pad(hu > BODY_HU, ((0, 0), (2, 2), (2, 2)), mode="edge")
    tissue = ndimage.binary_opening(padded, structure=np.ones((1, 3, 3), bool))[:, 2:-2, 2:-2]
    parts, count = ndimage.label(tissue)
    if not count:
        return np.zeros(hu.shape, bool)
    size = np.bincount(parts.ravel())
    size[0] = 0
    inside = parts == size.argmax()
    largest = {side: np.count_nonzero(network == side, axis=(1, 2)).max() for side in (RIGHT, LEFT)}
    for index, body in enumerate(inside):
        spaces, number = ndimage.label(~body)
        area = np.bincount(spaces.ravel(), minlength=number + 1)
        chosen = np.bincount(spaces[network[index] > 0], minlength=number + 1) > EDGE_SHARE * area
        edge = np.concatenate([spaces[0], spaces[-1], spaces[:, 0], spaces[:, -1]])
        chosen[np.setdiff1d(np.arange(number + 1), edge)] = True
        for side in (RIGHT, LEFT):
            named = (network[index] == side) & ~body
            outside = named & ~chosen[spaces]
            if outside.sum() > max(OPEN_LUNG_SHARE * largest[side], 0.8 * named.sum()):
                inside[index] |= ndimage.binary_dilation(outside, iterations=OPEN_LUNG_VOXELS) & ~body
        inside[index] |= chosen[spaces]
    return np.asarray(inside)


def _divide_air(air: Mask, lung: Labels, airway: Mask, hu: Coarse, spacing_mm: Spacing) -> Labels:
    """Which air is right lung, left lung or something else; a watershed separates what narrow necks join."""
    depth = ndimage.distance_transform_edt(air, sampling=spacing_mm).astype(np.float32)
    core = depth > SIDE_DEPTHS_MM[0]
    gas = _gas(core, lung, hu, spacing_mm)
    lung = np.where(gas, 0, lung).astype(np.uint8)
    markers = _side_markers(depth, lung)
    markers[gas] = OTHER
    markers[_foreign(air, core & ~_chosen(core, lung, CHOSEN_SHARE), lung, spacing_mm)] = OTHER
    markers[find_airway(air, core, lung, hu, spacing_mm) | (airway & air)] = OTHER
    flooded = sitk.MorphologicalWatershedFromMarkers(  # type: ignore[no-untyped-call]
        sitk.GetImageFromArray(-depth), sitk.GetImageFromArray(markers), markWatershedLine=False, fullyConnected=False
    )
    return np.where(air, sitk.GetArrayFromImage(flooded), 0).astype(np.uint8)


def _gas(core: Mask, lung: Labels, hu: Coarse, spacing_mm: Spacing) -> Mask:
    """The connected parts of air that hold nothing but air; small parts are held against the largest that may be lung."""
    parts, count = ndimage.label(core)
    size = np.bincount(parts.ravel(), minlength=count + 1)
    chosen = np.bincount(parts[lung > 0], minlength=count + 1)
    empty_lung = (chosen > EMPTY_LUNG_SHARE * size) & (size * np.prod(spacing_mm) > EMPTY_LUNG_ML * 1000)
    gas = _darker(parts, size, hu, GAS_HU) & ~empty_lung
    named = np.where(gas, 0, chosen)
    largest = int(named[1:].argmax()) + 1 if count else 0
    typical_hu = float(np.median(hu[parts == largest]))
    small = size < SMALL_PART_SHARE * size[largest]
    gas |= small & _darker(parts, size, hu, (typical_hu + OPEN_AIR_HU) / 2)
    gas[0] = False
    return np.asarray(gas[parts])


def _darker(
    parts: Int[np.ndarray, "slices rows columns"], size: Int[np.ndarray, "parts"], hu: Coarse, limit_hu: float
) -> Bool[np.ndarray, "parts"]:
    """Which parts have a median below the limit."""
    return np.asarray(np.bincount(parts[hu < limit_hu], minlength=len(size)) > size / 2)


def _side_markers(depth_mm: Coarse, lung: Labels) -> Labels:
    """Right and left for the parts of air that the network names almost as one; what stays mixed is named voxel by voxel."""
    markers = np.zeros(lung.shape, np.uint8)
    for depth in SIDE_DEPTHS_MM:
        parts, count = ndimage.label(depth_mm > depth)
        votes = np.stack([np.bincount(parts[lung == side], minlength=count + 1) for side in (RIGHT, LEFT)])
        named = votes.sum(axis=0)
        chosen = named > CHOSEN_SHARE * np.bincount(parts.ravel(), minlength=count + 1)
        agreed = chosen & (votes.min(axis=0) <= MINORITY_SHARE * named)
        names = np.where(agreed, np.where(votes[0] >= votes[1], RIGHT, LEFT), 0)
        names[0] = chosen[0] = False
        markers = np.where(markers == 0, names[parts], markers).astype(np.uint8)
        mixed = (chosen & ~agreed)[parts] & (markers == 0)
    return np.where(mixed, lung, markers).astype(np.uint8)


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
    """Each side closed by a ball, and filled where vessels and masses leave holes in a slice."""
    radius = [max(1, round(CLOSING_MM / step)) for step in reversed(spacing_mm)]
    result = labels.copy()
    for side in (RIGHT, LEFT):
        image = sitk.GetImageFromArray((labels == side).astype(np.uint8))
        solid = sitk.BinaryMorphologicalClosing(image, radius, sitk.sitkBall)  # type: ignore[no-untyped-call]
        closed = sitk.GetArrayFromImage(solid) > 0
        closed |= _holes(closed, spacing_mm)
        result[closed & (result == 0) & ~forbidden] = side
    return result


def _holes(lung: Mask, spacing_mm: Spacing) -> Mask:
    """Holes of the slices, but those that open widely into the tissue of the next slice: organs that rise into the lung."""
    holes = np.stack([ndimage.binary_fill_holes(plane) & ~plane for plane in lung])
    parts, count = ndimage.label(holes)
    outside = np.pad(~lung & ~holes, ((1, 1), (0, 0), (0, 0)), constant_values=True)
    opening = [np.bincount(parts[beside], minlength=count + 1) for beside in (outside[:-2] & holes, outside[2:] & holes)]
    closed = np.maximum(*opening) * spacing_mm[1] * spacing_mm[2] < LARGEST_OPENING_MM2
    closed[0] = False
    return np.asarray(closed[parts])
