"""What can be measured of a nodule: axes on the source slices, attenuation, roughness."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

CALCIUM_HU = 220
CALCIFIED_SHARE = 0.25
FAT_HU = (-140, -60)
FAT_SHARE = 0.5
SOLID_HU = -350
"""Ground glass ends here (partial volume at the rim lies below, so only the core is asked)."""
SOLID_SHARE, GROUND_GLASS_SHARE = 0.7, 0.15
SMALL_MM, SMALL_SOLID_SHARE = 10.0, 0.35
"""In nodules up to this size thick slices blur the rim so far in that less must be dense to call them solid."""
FAT_DEPTH_MM = 3.5
"""Nearer to the surface partial volume with lung looks like fat."""

Mask = Bool[np.ndarray, "slices rows columns"]
Patch = Float32[np.ndarray, "slices rows columns"]


@dataclass(frozen=True, slots=True)
class Features:
    """A nodule on its isotropic patch.

    Attributes:
        diameter_mm: of the ball of its volume.
        attenuation: "solid", "part-solid", "ground-glass", "calcified" or "fat".
        solid_diameter_mm: of the ball of its solid part's volume.
        sphericity: area of that ball over the area of the surface, 1 for a ball.
    """

    diameter_mm: float
    attenuation: str
    solid_diameter_mm: float
    sphericity: float


def features_of(hu: Patch, mask: Mask, step_mm: float) -> Features:
    """Measure a nodule on its isotropic patch.

    Args:
        hu: the patch.
        mask: the nodule.
        step_mm: of the grid.
    """
    voxel_mm3 = step_mm**3
    volume_mm3 = np.count_nonzero(mask) * voxel_mm3
    smooth = ndimage.uniform_filter(hu, 3)
    values = smooth[_core(mask)]
    solid_mm3 = np.count_nonzero(values > SOLID_HU) / max(len(values), 1) * volume_mm3
    return Features(
        diameter_mm=_ball_mm(volume_mm3),
        attenuation=_attenuation(
            values,
            smooth[ndimage.distance_transform_edt(mask) * step_mm > FAT_DEPTH_MM],
            SOLID_SHARE if _ball_mm(volume_mm3) > SMALL_MM else SMALL_SOLID_SHARE,
        ),
        solid_diameter_mm=_ball_mm(solid_mm3),
        sphericity=_sphericity(mask, step_mm, volume_mm3),
    )


def _ball_mm(volume_mm3: float) -> float:
    return float((6 * volume_mm3 / np.pi) ** (1 / 3))


def _core(mask: Mask) -> Mask:
    """The nodule without its rim of partial volume; the whole of a tiny one."""
    core = ndimage.binary_erosion(mask)
    return np.asarray(core if np.count_nonzero(core) >= 8 else mask)


def _attenuation(values: Float32[np.ndarray, "voxels"], deep: Float32[np.ndarray, "voxels"], solid_share: float) -> str:
    """The class from smoothed HU of the core, and of what lies deep enough to show fat."""
    if np.mean(values > CALCIUM_HU) > CALCIFIED_SHARE:
        return "calcified"
    solid = float(np.mean(values > SOLID_HU))
    low, high = FAT_HU
    if solid > solid_share and len(deep) and np.mean((deep > low) & (deep < high)) > FAT_SHARE:
        return "fat"
    if solid > solid_share:
        return "solid"
    return "ground-glass" if solid < GROUND_GLASS_SHARE else "part-solid"


def _sphericity(mask: Mask, step_mm: float, volume_mm3: float) -> float:
    """From the area of the mask's faces, which for a ball is 1.5 times the true one."""
    faces = sum(np.count_nonzero(np.diff(np.pad(mask, 1).astype(np.int8), axis=axis)) for axis in range(3))
    area = faces * step_mm**2 / 1.5
    return float(min(1.0, np.pi ** (1 / 3) * (6 * volume_mm3) ** (2 / 3) / max(area, 1e-6)))
