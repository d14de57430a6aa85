"""From outlines to masks: polygons on the slices of a volume, of any orientation, with holes."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float64
from matplotlib.path import Path as Polygon

from engine.volume import Volume
from training.errors import LabelError

PLANE_TOLERANCE = 0.1
"""How far the points of an outline may leave its plane, as a share of the distance between slices."""


def fill(points: Float64[np.ndarray, "points 2"], rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
    """Pixels whose centre lies inside a polygon of (row, column) indices, by the even-odd rule."""
    mask = np.zeros((rows, columns), bool)
    low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, (rows, columns))
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, 0, (rows, columns))
    if len(points) < 3 or (high <= low).any():
        return mask
    centres = np.stack(np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]), indexing="ij"), axis=-1)
    inside = Polygon(points).contains_points(centres.reshape(-1, 2)).reshape(centres.shape[:2])
    mask[low[0] : high[0], low[1] : high[1]] = inside
    return mask


def mask_of_outlines(
    outlines: Iterable[Float64[np.ndarray, "points 3"]], volume: Volume, name: str
) -> Bool[np.ndarray, "slices rows columns"]:
    """The mask of closed planar outlines in LPS mm; an outline within another on the same slice is a hole (exclusive or).

    Source: PS3.3 C.8.8.6.3, CLOSED_PLANAR and CLOSEDPLANAR_XOR.

    Raises:
        LabelError: an outline is not parallel to the slices, or lies beyond them.
    """
    slices, rows, columns = volume.voxels.shape
    mask = np.zeros((slices, rows, columns), bool)
    for points in outlines:
        index = _slice_of(points, volume, name)
        mask[index] ^= fill(in_plane(points, volume, index), rows, columns)
    return mask


def in_plane(points: Float64[np.ndarray, "points 3"], volume: Volume, index: int) -> Float64[np.ndarray, "points 2"]:
    """Continuous (row, column) indices of points on a slice."""
    offset = points - volume.positions_mm[index]
    rows = offset @ volume.column_direction / volume.pixel_spacing_mm[0]
    columns = offset @ volume.row_direction / volume.pixel_spacing_mm[1]
    return np.stack([rows, columns], axis=-1)


def _slice_of(points: Float64[np.ndarray, "points 3"], volume: Volume, name: str) -> int:
    heights = points @ volume.normal
    step = float(volume.slice_heights_mm.min())
    if np.ptp(heights) > PLANE_TOLERANCE * step:
        raise LabelError(
            f"{name}: an outline leaves its plane by {np.ptp(heights):.1f} mm: it was not drawn on these slices; "
            "choose the series that it refers to"
        )
    height = float(heights.mean())
    index = int(np.abs(volume.along_normal_mm - height).argmin())
    if abs(volume.along_normal_mm[index] - height) > volume.slice_heights_mm[index] / 2 + 1e-3:
        raise LabelError(f"{name}: an outline lies at {height:.1f} mm, where the series has no slice: slices are missing")
    return index
