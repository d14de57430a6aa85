"""Long and short axis of an outline, as RECIST and TID 1500 reports give them (Eisenhauer et al., Eur J Cancer 2009;45:228)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from engine.volume import Volume

Mask = Bool[np.ndarray, "slices rows columns"]


@dataclass(frozen=True, slots=True)
class Axes:
    """Diameters in the slice where an outline is largest, which a report cites, and the slice's index."""

    long_mm: float
    short_mm: float
    slice_index: int

    @property
    def mean_mm(self) -> float:
        return (self.long_mm + self.short_mm) / 2


def axes_of(volume: Volume, mask: Mask) -> Axes:
    """Long axis, and the longest perpendicular to it, of a mask with at least one voxel."""
    index = int(np.count_nonzero(mask, axis=(1, 2)).argmax())
    return Axes(*_feret(_outline(mask[index], volume.pixel_spacing_mm)), index)


def _outline(plane: Bool[np.ndarray, "rows columns"], spacing_mm: tuple[float, float]) -> Float64[np.ndarray, "points 2"]:
    """Points of the outline in mm: the middles of the sides of the outermost pixels."""
    places = np.argwhere(plane & ~ndimage.binary_erosion(plane)).astype(float)
    sides = np.concatenate([places + shift for shift in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))]) * spacing_mm
    try:
        return np.asarray(sides[ConvexHull(sides).vertices])
    except QhullError:
        return sides


def _feret(points: Float64[np.ndarray, "points 2"]) -> tuple[float, float]:
    """Largest distance of two points, and the extent across it."""
    differences = points[:, None] - points[None]
    lengths = np.hypot(differences[..., 0], differences[..., 1])
    first, second = np.unravel_index(int(lengths.argmax()), lengths.shape)
    long_mm = float(lengths[first, second])
    way = differences[first, second] / max(long_mm, 1e-6)
    across = points @ np.array([-way[1], way[0]])
    return long_mm, float(np.ptp(across))
