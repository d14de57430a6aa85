"""Focal lesions in a liver: which of the network's voxels are some, and how large and how dense each of them is."""

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32
from scipy import ndimage

LEVEL = 0.5
"""Probability from which a voxel belongs to a lesion."""
SURE = 0.75
"""Probability that some voxel of a lesion must reach."""
SMALLEST_ML = 0.06
"""Of a ball of 5 mm."""
INSIDE_SHARE = 0.6
"""Of a lesion that must lie in the liver; the rest may bulge out."""
DIFFERENT_HU = 10.0
"""From the liver's own attenuation; nearer to it a lesion is called isodense."""
CYST_HU = 20.0
CALCIFIED_HU = 130.0
CALCIFIED_SHARE = 0.1
SMOOTHING_VOXELS = 1.0
CORE_VOXELS = 3
DARKER_HU = 15.0
FAT_HU = -40.0
ENCLOSED_SHARE = 0.8
PARENCHYMA_HU = 30.0
"""Difference from the liver's own attenuation up to which the surroundings are parenchyma, noise averaged out."""
SURROUNDED_SHARE = 0.7
SHELL_VOXELS = (1, 3)
"""Distance from a lesion of what surrounds it."""
FATTY_HU, FATTY_SHARE = -20.0, 0.03

Mask = Bool[np.ndarray, "slices rows columns"]


def credible(probability: Float32[np.ndarray, "slices rows columns"], liver: Mask, voxel_ml: float) -> Mask:
    """The lesions that are large, sure and far enough inside the liver."""
    labels, number = ndimage.label(probability > LEVEL)
    if number == 0:
        return np.zeros(probability.shape, bool)
    every = np.arange(number + 1)
    sizes = np.bincount(labels.ravel(), minlength=number + 1)
    sure = ndimage.maximum(probability, labels, every)
    inside = ndimage.mean(liver, labels, every)
    kept = (sizes * voxel_ml >= SMALLEST_ML) & (np.asarray(sure) >= SURE) & (np.asarray(inside) >= INSIDE_SHARE)
    kept[0] = False
    chosen: Mask = kept[labels]
    return chosen


def within_parenchyma(lesions: Mask, hu: Float32[np.ndarray, "slices rows columns"], level_hu: float) -> Mask:
    """Those that parenchyma surrounds and that hold no fat: not what is marked of hilum, fissures and beside the liver.

    Args:
        lesions: found so far.
        hu: on their grid.
        level_hu: of the parenchyma.
    """
    smooth = ndimage.uniform_filter(hu, 3)
    parenchyma = np.abs(smooth - level_hu) < PARENCHYMA_HU
    labels, number = ndimage.label(lesions)
    kept = np.zeros_like(lesions)
    for index in range(1, number + 1):
        part = labels == index
        near, far = (ndimage.binary_dilation(part, iterations=reach) for reach in SHELL_VOXELS)
        shell = far & ~near & ~lesions
        surrounded = shell.any() and parenchyma[shell].mean() >= SURROUNDED_SHARE
        if surrounded and (smooth[part] < FATTY_HU).mean() <= FATTY_SHARE:
            kept |= part
    return kept


def by_attenuation(hu: Float32[np.ndarray, "slices rows columns"], liver: Mask, level_hu: float) -> Mask:
    """Parts well inside the liver that are clearly darker than its parenchyma, noise averaged out.

    What the network was too little trained to see; bright parts are left to it, as they would be vessels.
    """
    smooth = ndimage.gaussian_filter(hu, SMOOTHING_VOXELS)
    core = ndimage.binary_erosion(liver, iterations=CORE_VOXELS)
    values = smooth[core]
    if not len(values):
        return np.zeros_like(liver)
    spread = 1.48 * float(np.median(np.abs(values - level_hu)))
    seeds = core & (smooth < level_hu - max(DARKER_HU, 3 * spread)) & (smooth > FAT_HU)
    seeds = ndimage.binary_opening(seeds, iterations=1)
    dark: Mask = liver & (smooth < level_hu - max(DARKER_HU, 3 * spread) / 2)
    grown: Mask = ndimage.binary_dilation(seeds, iterations=2, mask=dark)
    return _enclosed(grown, liver)


def _enclosed(parts: Mask, liver: Mask) -> Mask:
    """Those parts that liver surrounds on most sides, as it does not surround fissures, hilum and what lies at the surface."""
    labels, number = ndimage.label(parts)
    kept = np.zeros_like(parts)
    for index in range(1, number + 1):
        part = labels == index
        shell = ndimage.binary_dilation(part, iterations=2) & ~part
        if np.mean(liver[shell]) >= ENCLOSED_SHARE:
            kept |= part
    return kept


def split(lesions: Mask) -> tuple[Int32[np.ndarray, "slices rows columns"], int]:
    """Numbers from 1, largest first, of parts that touch each other nowhere; and how many there are."""
    labels, number = ndimage.label(lesions, structure=np.ones((3, 3, 3)))
    order = np.argsort(-np.bincount(labels.ravel(), minlength=number + 1)[1:], kind="stable")
    numbers = np.zeros(number + 1, np.int32)
    numbers[order + 1] = np.arange(1, number + 1)
    return numbers[labels], number


def attenuation_class(values: Int16[np.ndarray, " voxels"], liver_hu: float) -> str:
    """In words, against the liver's own attenuation; by the middle half, which the blurred rim does not reach."""
    mean = float(np.median(values))
    if np.mean(values > max(CALCIFIED_HU, liver_hu + 60)) > CALCIFIED_SHARE and values.max() > 200:
        return "calcified in part"
    if mean >= liver_hu + DIFFERENT_HU:
        return "hyperdense"
    if mean > liver_hu - DIFFERENT_HU:
        return "isodense"
    if mean < CYST_HU and liver_hu > CYST_HU + 20:
        return "hypodense, as fluid"
    return "hypodense"
