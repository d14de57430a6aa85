"""The outline that an SR shows of a segment."""

from dataclasses import dataclass

import contourpy
import numpy as np
from jaxtyping import Float64

MOST_POINTS = 200


@dataclass(frozen=True)
class Outline:
    """Outer boundary of a segment on the slice where it is largest.

    Attributes:
        slice_index: into the volume.
        points: closed polyline of (column, row); the centre of the first pixel is (0.5, 0.5), as in a SCOORD.
    """

    slice_index: int
    points: Float64[np.ndarray, "points 2"]


def largest_outline(mask: np.ndarray) -> Outline:
    """The longest boundary of a mask [slice, row, column] on its largest slice; of equal slices the first.

    Source: PS3.3 C.18.6.1.1, Graphic Data: (0, 0) is the corner of the first pixel.
    """
    areas = np.count_nonzero(mask.reshape(len(mask), -1), axis=1)
    index = int(areas.argmax())
    padded = np.pad(mask[index], 1).astype(float)
    lines = contourpy.contour_generator(z=padded).lines(0.5)
    longest: np.ndarray = max((np.asarray(line) for line in lines), key=len)
    points = longest[:-1] - 0.5  # the padding shifts by one pixel, the convention by half a pixel
    points = points[:: len(points) // MOST_POINTS + 1]
    return Outline(index, np.vstack([points, points[:1]]))


def long_axis(outline: Outline, pixel_spacing_mm: tuple[float, float]) -> tuple[Outline, float]:
    """The two points of an outline that lie furthest apart in the patient, and their distance in mm."""
    row_step, column_step = pixel_spacing_mm
    points_mm = outline.points * (column_step, row_step)
    distances = np.linalg.norm(points_mm[:, None] - points_mm[None], axis=2)
    first, second = np.unravel_index(int(distances.argmax()), distances.shape)
    return Outline(outline.slice_index, outline.points[[first, second]]), float(distances.max())
