"""Where in the lungs a nodule could be: a network on the whole lungs, and a filter for small round densities; recall first."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from engine.catalog._nodule_blobs import find_blobs
from engine.catalog._nodule_patches import AIR_HU, part_of
from engine.resampling import canonical_grid, to_canonical
from engine.volume import Volume
from engine.warm_network import WarmNetwork

CANDIDATE_LEVEL = 0.3
"""Of the network's probability; a candidate is a connected region above it."""
SMALLEST_MM = 3.0
"""Diameter of the ball of a candidate's volume."""
LARGEST_MM = 80.0
MOST_CANDIDATES = 40
MARGIN_MM = 12.0
CLOSING_MM = 12.0
"""Dents of the lung up to this deep belong to it: nodules and masses on the pleura."""
DEPTH_BEYOND_MM = 2.5
INSIDE_SHARE = 0.25
"""Share of a candidate that must lie within the closed lung."""


@dataclass(frozen=True)
class Candidate:
    """A place to look at.

    Attributes:
        centre_mm: LPS.
        diameter_mm: of the ball of its volume.
    """

    centre_mm: Float64[np.ndarray, "3"]
    diameter_mm: float


def find_candidates(network: WarmNetwork, volume: Volume, lung: Bool[np.ndarray, "slices rows columns"]) -> list[Candidate]:
    """Candidates in one lung.

    Args:
        network: HU patch to background and nodule.
        volume: the series.
        lung: one lung on the source grid.
    """
    part = part_of(volume, _box_around(volume, lung))
    grid = canonical_grid(part.volume, network.metadata.spacing_mm)
    hu = to_canonical(part.volume, grid, AIR_HU)
    marked = part_of(_as_volume(volume, lung), part.box).volume
    inside = _closed((to_canonical(marked, grid, 0.0) > 500).numpy(), grid.spacing_mm[0])
    probability = network.of_values(hu, AIR_HU).softmax(0)[1].numpy()
    step = grid.spacing_mm[0]
    found = _regions(probability, inside, grid.voxel_ml * 1000)
    for index, diameter in find_blobs(hu.numpy(), inside, step):
        if all(np.linalg.norm(index - other) * step > max(size, diameter) / 2 for other, size in found):
            found.append((index.astype(float), diameter))
    origin = np.array(grid.origin_mm)
    return [Candidate(origin + index[::-1] * step, diameter) for index, diameter in found]


def _as_volume(volume: Volume, mask: Bool[np.ndarray, "slices rows columns"]) -> Volume:
    return replace(volume, voxels=mask.astype(np.int16) * 1000, padded=None)


def _box_around(volume: Volume, lung: Bool[np.ndarray, "slices rows columns"]) -> tuple[slice, slice, slice]:
    (box,) = ndimage.find_objects(lung.astype(np.uint8))
    wider = [
        slice(max(0, part.start - round(MARGIN_MM / step)), min(count, part.stop + round(MARGIN_MM / step)))
        for part, step, count in zip(box, volume.spacing_mm, lung.shape, strict=True)
    ]
    return wider[0], wider[1], wider[2]


def _closed(lung: Bool[np.ndarray, "slices rows columns"], step_mm: float) -> Bool[np.ndarray, "slices rows columns"]:
    """The lung with its dents filled, and a little beyond; computed on every second voxel."""
    reach = round(CLOSING_MM / step_mm / 2) + 1
    coarse = np.pad(lung[::2, ::2, ::2], reach)
    grown = ndimage.distance_transform_edt(~coarse) * 2 * step_mm <= CLOSING_MM
    kept = ndimage.distance_transform_edt(grown) * 2 * step_mm > CLOSING_MM - DEPTH_BEYOND_MM
    inner = (kept | coarse)[reach:-reach, reach:-reach, reach:-reach]
    fine = inner.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return np.asarray(fine[: lung.shape[0], : lung.shape[1], : lung.shape[2]])


def _regions(
    probability: Float32[np.ndarray, "slices rows columns"], inside: Bool[np.ndarray, "slices rows columns"], voxel_mm3: float
) -> list[tuple[Float64[np.ndarray, "3"], float]]:
    """Centre (index) and diameter in mm of each region that may be a nodule, the largest and surest first."""
    parts, count = ndimage.label(probability > CANDIDATE_LEVEL, structure=np.ones((3, 3, 3), bool))
    size = np.bincount(parts.ravel(), minlength=count + 1)
    within = np.bincount(parts[inside], minlength=count + 1)
    regions = []
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        diameter = float((6 * size[number] * voxel_mm3 / np.pi) ** (1 / 3))
        if not SMALLEST_MM <= diameter <= LARGEST_MM or within[number] < INSIDE_SHARE * size[number]:
            continue
        region = np.where(parts[box] == number, probability[box], 0)
        centre = np.array(ndimage.center_of_mass(region)) + [part.start for part in box]
        regions.append((float(region.max()) * diameter, centre, diameter))
    regions.sort(key=lambda each: -each[0])
    return [(centre, diameter) for _, centre, diameter in regions[:MOST_CANDIDATES]]
