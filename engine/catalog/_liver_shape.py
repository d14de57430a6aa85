"""From the network's coarse answer to a liver: its grid, its attenuation, its surface, and whether it can be a liver at all.

Arrays lie on canonical grids: slices run to the head, rows to the back, columns to the patient's left.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from engine.resampling import CanonicalGrid

BOX_MARGIN_VOXELS = 4
"""Coarse voxels around the liver that the fine grid shows."""
PART_SHARE = 0.05
"""Parts smaller than this share of the largest are no liver."""
FAT_HU = -100.0
FATTEST_HU = -20.0
"""Above it, a voxel may be liver or lesion, however dark."""
DENSE_HU = 220.0
DENSER_THAN_LIVER_HU = 130.0
MODE_BIN_HU = 4.0
CLOSING_VOXELS = 3
BODY_HU = -300.0
BONE_HU = 200.0
SHELL_MM = 12.0
EVIDENCE_BLUR_VOXELS = 1.5
LEAST_SPREAD_HU = 8.0
MOST_FOR, MOST_AGAINST = 2.0, 3.0
BRIDGE_VOXELS = 2
SPREAD_LEVEL = -0.5
"""Of the sum of margin and evidence, for what may still be liver if a wide front joins it to the rest."""
FRONT_VOXELS = 4
LOOSE_SHARE = 0.15
"""Of the largest part, for parts that only a thin bridge joins to it."""

Field = Float32[Tensor, "slices rows columns"]
Values = Float32[np.ndarray, "slices rows columns"]
Mask = Bool[np.ndarray, "slices rows columns"]


@dataclass(frozen=True)
class Liver:
    """What is liver on a fine grid that is a box around it.

    Attributes:
        hu: the image on that grid.
        mask: the liver, not yet with those lesions at its surface that the coarse network left out.
        level_hu: attenuation of the parenchyma.
    """

    grid: CanonicalGrid
    hu: Values
    mask: Mask
    level_hu: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What speaks for or against a liver.

    Attributes:
        left_mm: how far its centre lies to the left of the body's middle.
        bone_share: of the shell around it.
    """

    left_mm: float
    bone_share: float


def main_parts(margin: Field) -> Mask:
    """Where the network says liver (margin above 0): the largest part, and others that are not much smaller."""
    return _large_parts((margin > 0).numpy())


def box_around(mask: Mask) -> tuple[slice, slice, slice]:
    """Index ranges of the mask with a margin."""
    ranges = []
    for axis, count in enumerate(mask.shape):
        held = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        ranges.append(slice(max(0, int(held[0]) - BOX_MARGIN_VOXELS), min(count, int(held[-1]) + 1 + BOX_MARGIN_VOXELS)))
    return ranges[0], ranges[1], ranges[2]


def fine_grid(coarse: CanonicalGrid, box: tuple[slice, slice, slice], factor: int) -> CanonicalGrid:
    """The grid with `factor` voxels for each coarse one that begins and ends at centres of the box's coarse voxels."""
    z, y, x = (
        low + part.start * step for low, part, step in zip(reversed(coarse.origin_mm), box, coarse.spacing_mm, strict=True)
    )
    shape = tuple((part.stop - part.start - 1) * factor + 1 for part in box)
    spacing = tuple(step / factor for step in coarse.spacing_mm)
    return CanonicalGrid((x, y, z), (spacing[0], spacing[1], spacing[2]), (shape[0], shape[1], shape[2]))


def refine(margin: Field, parts: Mask, box: tuple[slice, slice, slice], grid: CanonicalGrid, hu: Field) -> Liver:
    """The liver on the fine grid: the network's, without fat, air, bone and strange neighbours, closed and smooth."""
    near = torch.from_numpy(ndimage.binary_dilation(parts[box], iterations=2))
    kept = torch.where(near, margin[box], torch.minimum(margin[box], torch.tensor(-1.0))).clamp(-6, 6)
    fine = functional.interpolate(kept[None, None], size=grid.shape, mode="trilinear", align_corners=True)[0, 0].numpy()
    values = hu.numpy()
    level = _level(values, fine)
    smooth = ndimage.gaussian_filter(values, 0.8)
    foreign = (smooth < min((level + FAT_HU) / 2, FATTEST_HU)) | (smooth > max(DENSE_HU, level + DENSER_THAN_LIVER_HU))
    likely = fine + _evidence(values, ~foreign, fine, level)
    mask = _spread(_cut_loose((likely > 0) & ~foreign), (likely > SPREAD_LEVEL) & ~foreign)
    closed = ndimage.binary_closing(np.pad(mask, CLOSING_VOXELS), iterations=CLOSING_VOXELS)
    inner = closed[tuple(slice(CLOSING_VOXELS, -CLOSING_VOXELS) for _ in range(3))]
    return Liver(grid, values, ndimage.binary_fill_holes(mask | (inner & ~foreign)), level)


def _spread(mask: Mask, doubtful: Mask) -> Mask:
    """The mask with those doubtful regions that a wide front joins to it."""
    wide = ndimage.binary_opening(mask | doubtful, iterations=FRONT_VOXELS)
    return _cut_loose(mask | (doubtful & wide))


def _cut_loose(mask: Mask) -> Mask:
    """The main part, and what hangs on it by more than a thin bridge."""
    cores = ndimage.binary_erosion(mask, iterations=BRIDGE_VOXELS, border_value=1)
    grown: Mask = ndimage.binary_dilation(_large_parts(cores, LOOSE_SHARE), iterations=BRIDGE_VOXELS + 1) & mask
    return grown


def surroundings(coarse_hu: Field, parts: Mask, spacing_mm: tuple[float, float, float]) -> Surroundings:
    """Where in the body the coarse parts lie, and what lies around them."""
    values = coarse_hu.numpy()
    slices = parts.any(axis=(1, 2))
    body = values[slices] > BODY_HU
    middle, own = (float(np.average(np.arange(part.shape[2]), weights=part.sum(axis=(0, 1)))) for part in (body, parts))
    shell = ndimage.binary_dilation(parts, iterations=round(SHELL_MM / min(spacing_mm))) & ~parts
    return Surroundings((own - middle) * spacing_mm[2], float(np.mean(values[shell] > BONE_HU)))


def _level(hu: Values, margin: Values) -> float:
    """The most frequent attenuation well inside: that of parenchyma, whatever lesions and vessels there are."""
    inside = hu[margin > 2] if np.count_nonzero(margin > 2) > 100 else hu[margin > 0]
    edges = np.arange(-200, 400, MODE_BIN_HU)
    counts = ndimage.gaussian_filter1d(np.histogram(inside, edges)[0].astype(float), 2)
    return float(edges[int(counts.argmax())] + MODE_BIN_HU / 2)


def _evidence(hu: Values, tissue: Mask, margin: Values, level_hu: float) -> Values:
    """What the attenuation adds to the network's margin: a little for what looks like this liver, much against the rest.

    It is averaged over the tissue around each voxel. Where the network is sure, as in the middle of a lesion, the attenuation
    does not outweigh it.
    """
    weight = ndimage.gaussian_filter(tissue.astype(np.float32), EVIDENCE_BLUR_VOXELS)
    smooth = ndimage.gaussian_filter(np.where(tissue, hu, 0), EVIDENCE_BLUR_VOXELS) / np.maximum(weight, 1e-3)
    sure = smooth[(margin > 2) & tissue]
    spread = 1.48 * float(np.median(np.abs(sure - level_hu))) if sure.size else LEAST_SPREAD_HU
    deviation = (smooth - level_hu) / max(spread, LEAST_SPREAD_HU)
    return np.clip(MOST_FOR * (1 - deviation**2 / 4), -MOST_AGAINST, MOST_FOR).astype(np.float32)


def _large_parts(mask: Mask, share: float = PART_SHARE) -> Mask:
    labels, number = ndimage.label(mask)
    if number == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept: Mask = (sizes >= share * sizes.max())[labels] & mask
    return kept
