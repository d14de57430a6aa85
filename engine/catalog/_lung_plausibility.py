"""What no chest CT can be, before the network and after it; and what a reader of a result must be told."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from engine.api import Refusal
from engine.volume import Volume

RIGHT, LEFT = 1, 2
NAMES = {RIGHT: "Right lung", LEFT: "Left lung"}
TISSUE_HU = -200
BONE_HU = 150
FAT_HU = (-150, -40)
LEAST_BONE_SHARE = 0.01
LEAST_FAT_SHARE = 0.02
"""Of the body within its border. Five real CTs had 5 to 11 % bone and 14 to 42 % fat; phantoms for quality control have next to
none of one of them."""
BORDER_VOXELS = 2
"""Between air and water lies what looks like fat."""
MINIMUM_LUNGS_ML = 300.0
MAXIMUM_LUNGS_ML = 12_000.0
MINIMUM_LUNG_ML = 100.0
MINIMUM_SEGMENT_ML = 10.0
"""Less of a side is no segment, but an error or a trace."""
TRACE_SHARE = 0.03
"""Share of a lung's largest section that, on the image's border, says that the scan cuts the lung."""
CUT_SHARE = 0.5
"""The same of both lungs on the first or last slice: so much is missing that the volumes mean nothing."""
CUT_SHARE_IN_PLANE = 0.75
"""The same of one lung on an edge of the slices; a lung's flat side shows a large section soon."""
CUT_BODY_SHARE = 0.9
"""Of the body's depth: where it ends this deep, it was cut near its middle; tight fields of view leave up to 0.8 there."""
END_VOXELS = 1
HALF_CHEST_MM = 50.0
"""Where a lung is missing, its half of the chest is within the image only if so much of it is."""
SMALL_SHARE = 0.5
DENSE_HU = -300
DENSE_SHARE = 0.15

Coarse = Float32[np.ndarray, "slices rows columns"]
Mask = Bool[np.ndarray, "slices rows columns"]
Masks = Mapping[int, Mask]


def require_a_person(hu: Coarse) -> None:
    """Refuse what holds no bones or no fat, and half a body.

    Args:
        hu: on a coarse grid, columns towards the patient's left.

    Raises:
        Refusal: it looks like a phantom for quality control, or the images end in the middle of the body.
    """
    parts, _ = ndimage.label(hu > TISSUE_HU)
    size = np.bincount(parts.ravel())
    size[0] = 0
    body = (parts == size.argmax()) & (parts > 0)
    within = hu[ndimage.binary_erosion(body, iterations=BORDER_VOXELS)]
    if not within.size:
        raise Refusal("The images show no body; lung segmentation needs a CT of the chest.")
    bone = np.mean(within > BONE_HU)
    fat = np.mean((within > FAT_HU[0]) & (within < FAT_HU[1]))
    if bone < LEAST_BONE_SHARE or fat < LEAST_FAT_SHARE:
        missing = "bones" if bone < LEAST_BONE_SHARE else "fat"
        raise Refusal(f"What was scanned has no {missing}: it seems to be a phantom, not a person. Lungs were not looked for.")
    if max(_depth_at_ends(body)) > CUT_BODY_SHARE:
        raise Refusal(
            "The images end in the middle of the body, as if half of the chest were missing; its lungs have no sides."
        )


def _depth_at_ends(body: Mask) -> tuple[float, float]:
    """How deep the body is, from front to back, at its right and its left end: the median over the slices, of its depth."""
    rows = body.shape[1]
    filled: Bool[np.ndarray, "slices columns"] = np.any(body, axis=1)
    front, back = body.argmax(axis=1), rows - body[:, ::-1].argmax(axis=1)
    depth = np.where(filled, back - front, 0)[np.any(filled, axis=1)]
    present = depth > 0
    first = present.argmax(axis=1) + END_VOXELS
    last = present.shape[1] - 1 - present[:, ::-1].argmax(axis=1) - END_VOXELS
    slices = np.arange(len(depth))
    ends = (depth[slices, np.clip(index, 0, present.shape[1] - 1)] / depth.max(axis=1) for index in (first, last))
    right, left = (float(np.median(share)) for share in ends)
    return right, left


def require_lungs(volume: Volume, masks: Masks, volumes_ml: Mapping[int, float]) -> None:
    """Refuse results that cannot be the lungs of a chest CT, or are too little of them.

    Raises:
        Refusal: with what was found.
    """
    total = sum(volumes_ml.values())
    if total < MINIMUM_LUNGS_ML:
        raise Refusal(
            f"No lungs in the field of view: {total:.0f} ml of lung were found, at least {MINIMUM_LUNGS_ML:.0f} ml are needed."
        )
    if total > MAXIMUM_LUNGS_ML:
        raise Refusal(f"The lungs found hold {total / 1000:.1f} l, more than any person's: the spacing of the images is wrong.")
    _refuse_cut_slices(masks)
    _refuse_cut_sides(volume, masks, volumes_ml)
    if min(volumes_ml.values()) >= MINIMUM_LUNG_ML and _centre_x_mm(volume, masks[RIGHT]) >= _centre_x_mm(volume, masks[LEFT]):
        raise Refusal(
            "The right lung was found left of the left one: the images' orientation is wrong, or no lungs were shown."
        )


def _refuse_cut_slices(masks: Masks) -> None:
    areas = _sections(masks[RIGHT], 0) + _sections(masks[LEFT], 0)
    for end, area in (("first", areas[0]), ("last", areas[-1])):
        if area > CUT_SHARE * areas.max():
            share = 100 * area / areas.max()
            raise Refusal(
                f"Only a part of the lungs is in the scan: its {end} slice shows {share:.0f} % of their largest section. "
                "Lung segmentation needs the whole chest."
            )


def _refuse_cut_sides(volume: Volume, masks: Masks, volumes_ml: Mapping[int, float]) -> None:
    for number, mask in masks.items():
        other = LEFT if number == RIGHT else RIGHT
        if volumes_ml[number] < MINIMUM_LUNG_ML:
            continue
        if max(_edge_share(mask, axis) for axis in (1, 2)) > CUT_SHARE_IN_PLANE:
            raise Refusal(f"{NAMES[number]}: the edge of the images cuts it through. Lung segmentation needs the whole chest.")
        if volumes_ml[other] < MINIMUM_LUNG_ML and _beyond_mm(volume, mask, towards_left=other == LEFT) < HALF_CHEST_MM:
            raise Refusal("The images show half of the chest: they end where the other lung would begin.")


def remarks(volume: Volume, masks: Masks, volumes_ml: Mapping[int, float]) -> tuple[str, ...]:
    """What is odd about the lungs, in sentences for the reader of the result."""
    told = []
    for number, name in NAMES.items():
        mask, found_ml = masks[number], volumes_ml[number]
        other_ml = volumes_ml[LEFT if number == RIGHT else RIGHT]
        if found_ml < MINIMUM_LUNG_ML:
            told.append(f"{name}: only {found_ml:.0f} ml found; collapsed, removed, outside the scan or missed.")
            continue
        if max(_edge_share(mask, axis) for axis in range(3)) > TRACE_SHARE:
            told.append(f"{name}: not wholly within the scan; its volume is that of the part shown.")
        if found_ml < SMALL_SHARE * other_ml:
            told.append(
                f"{name}: {100 * found_ml / other_ml:.0f} % of the other lung's volume; consolidated, collapsed, displaced, "
                "partly removed or partly missed."
            )
        dense = np.mean(volume.voxels[mask] > DENSE_HU)
        if dense > DENSE_SHARE:
            told.append(f"{name}: {100 * dense:.0f} % of it is as dense as soft tissue; its border is uncertain there.")
    return tuple(told)


def _sections(mask: Mask, axis: int) -> Float64[np.ndarray, "places"]:
    """Voxels in each plane across an axis."""
    others = tuple(index for index in range(3) if index != axis)
    return np.asarray(np.count_nonzero(mask, axis=others), float)


def _edge_share(mask: Mask, axis: int) -> float:
    areas = _sections(mask, axis)
    return float(max(areas[0], areas[-1]) / max(areas.max(), 1))


def _beyond_mm(volume: Volume, mask: Mask, *, towards_left: bool) -> float:
    """How far the images reach beyond a lung towards one side of the patient."""
    ends = [np.flatnonzero(_sections(mask, axis))[[0, -1]] for axis in range(3)]
    lung, image = _range_x_mm(volume, ends), _range_x_mm(volume, [np.array([0, count - 1]) for count in mask.shape])
    return image[1] - lung[1] if towards_left else lung[0] - image[0]


def _range_x_mm(volume: Volume, ends: list[np.ndarray]) -> tuple[float, float]:
    """LPS x of a box of indices, from the right to the left."""
    corners = np.stack([*(axis.ravel() for axis in np.meshgrid(*ends)), np.ones(8)])
    x_mm = (volume.affine @ corners)[0]
    return float(x_mm.min()), float(x_mm.max())


def _centre_x_mm(volume: Volume, mask: Mask) -> float:
    """LPS x of the mask's centre of mass."""
    centres = [np.average(np.arange(count), weights=_sections(mask, axis)) for axis, count in enumerate(mask.shape)]
    return float((volume.affine @ np.array([*centres, 1.0]))[0])
