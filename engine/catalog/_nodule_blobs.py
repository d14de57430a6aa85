"""Small round densities in the lung by their second derivatives: what a network for nodules of all sizes passes over.

Source: Li, Sone, Doi, Selective enhancement filters for nodules, vessels, and airway walls, Med Phys 2003;30:2040 (its ratio of
eigenvalues tells balls from tubes and sheets).
"""

import numpy as np
from jaxtyping import Bool, Float32, Int
from scipy import ndimage

SCALES_MM = (1.6, 2.4, 3.6, 5.4, 8.0)
"""Deviation of the Gaussian; a ball answers most at its radius over the root of three."""
LOW_HU, HIGH_HU = -900.0, 100.0
STRENGTH_HU = 90.0
ROUNDNESS = 0.42
"""Of the smallest to the largest curvature: 1 for a ball, 0 for a tube or a sheet."""
MOST_BLOBS = 40

Index = Int[np.ndarray, "3"]
Field = Float32[np.ndarray, "slices rows columns"]


def find_blobs(hu: Field, inside: Bool[np.ndarray, "slices rows columns"], step_mm: float) -> list[tuple[Index, float]]:
    """Index and diameter in mm of the strongest round densities, each scale on its own, the strongest first."""
    clipped = np.clip(hu, LOW_HU, HIGH_HU)
    found: list[tuple[float, Index, float]] = []
    for scale_mm in SCALES_MM:
        smooth = ndimage.gaussian_filter(clipped, scale_mm / step_mm, mode="nearest", truncate=3.0)
        answer = -ndimage.laplace(smooth) * (scale_mm / step_mm) ** 2
        peaks = (answer > STRENGTH_HU) & inside & (answer == ndimage.maximum_filter(answer, 3))
        for index in np.argwhere(peaks):
            roundness = _roundness(smooth, index)
            if roundness > ROUNDNESS:
                found.append((float(answer[tuple(index)]) * roundness, index, 2 * scale_mm * 3**0.5))
    found.sort(key=lambda each: -each[0])
    return _apart(found, step_mm)[:MOST_BLOBS]


def _roundness(smooth: Field, index: Index) -> float:
    """Smallest over largest of the three curvatures; 0 where one bends the other way or the border is near."""
    if (index < 1).any() or (index + 2 > smooth.shape).any():
        return 0.0
    near = smooth[tuple(slice(place - 1, place + 2) for place in index)].astype(np.float64)
    gradients = np.gradient(near)
    hessian = np.array([[np.gradient(gradient, axis=axis)[1, 1, 1] for axis in range(3)] for gradient in gradients])
    for axis in range(3):
        line = np.moveaxis(near, axis, 0)[:, 1, 1]
        hessian[axis, axis] = line[0] - 2 * line[1] + line[2]
    curvatures = -np.linalg.eigvalsh((hessian + hessian.T) / 2)
    return float(curvatures.min() / curvatures.max()) if curvatures.min() > 0 else 0.0


def _apart(found: list[tuple[float, Index, float]], step_mm: float) -> list[tuple[Index, float]]:
    """Without those that lie within a stronger one."""
    kept: list[tuple[Index, float]] = []
    for _, index, diameter in found:
        if all(np.linalg.norm(index - other) * step_mm > size / 2 + 2 for other, size in kept):
            kept.append((index, diameter))
    return kept
