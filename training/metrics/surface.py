"""How far the border of a result lies from the true one, in millimetres.

A surface is the voxels of a mask that touch the outside with a face (the edge of the image is outside). Distances are between
voxel centres, so that uneven and tilted stacks are measured where their slices are.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

Grid = Bool[np.ndarray, "slices rows columns"]


@dataclass(frozen=True, slots=True)
class SurfaceDistances:
    """From each surface voxel to the nearest one of the other surface.

    Attributes:
        to_truth_mm: from the result's surface; empty where the result is.
        to_found_mm: from the true surface; empty where the truth is.
    """

    to_truth_mm: Float64[np.ndarray, "found"]
    to_found_mm: Float64[np.ndarray, "truth"]

    @property
    def both_are_empty(self) -> bool:
        return not self.to_truth_mm.size and not self.to_found_mm.size


def surface_distances(found: Grid, truth: Grid, affine: Float64[np.ndarray, "4 4"]) -> SurfaceDistances:
    """Distances both ways; infinite where only one of the masks is empty.

    The affine leads from (slice, row, column, 1) to millimetres; `np.diag([*spacing_mm, 1])` will do.
    """
    found_mm, truth_mm = _surface_mm(found, affine), _surface_mm(truth, affine)
    return SurfaceDistances(_nearest_mm(found_mm, truth_mm), _nearest_mm(truth_mm, found_mm))


def normalised_surface_dice(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Share of both surfaces that lies within the tolerance of the other; 1 where both are empty, 0 where one is.

    Source: Nikolov et al., 2018, "Deep learning to achieve clinically applicable segmentation", counted in surface voxels.
    """
    if distances.both_are_empty:
        return 1.0
    both = np.concatenate([distances.to_truth_mm, distances.to_found_mm])
    return float(np.count_nonzero(both <= tolerance_mm) / both.size)


def hausdorff_95_mm(distances: SurfaceDistances) -> float:
    """The larger of the two 95th percentiles; 0 where both masks are empty, nan where one is."""
    if distances.both_are_empty:
        return 0.0
    if not (distances.to_truth_mm.size and distances.to_found_mm.size):
        return math.nan
    return float(max(np.percentile(side, 95) for side in (distances.to_truth_mm, distances.to_found_mm)))


def _surface_mm(mask: Grid, affine: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "voxels 3"]:
    occupied = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not occupied[0].size:
        return np.empty((0, 3))
    box = tuple(slice(int(indices[0]), int(indices[-1]) + 1) for indices in occupied)
    inner = mask[box]
    corner = [part.start for part in box]
    indices = np.argwhere(inner & ~binary_erosion(inner)) + corner
    return np.asarray(indices @ affine[:3, :3].T + affine[:3, 3])


def _nearest_mm(points_mm: Float64[np.ndarray, "points 3"], others_mm: Float64[np.ndarray, "others 3"]) -> np.ndarray:
    if not others_mm.size:
        return np.full(len(points_mm), math.inf)
    return np.asarray(KDTree(others_mm).query(points_mm)[0], np.float64).reshape(-1)
