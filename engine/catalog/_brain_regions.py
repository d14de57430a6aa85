"""From what the network says of each voxel to a tumour: plausible foci only, whole, and within the brain."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy import ndimage
from torch import Tensor

from engine.catalog._brain_border import extended

MINIMUM_FOCUS_ML = 0.3
"""Smaller foci are more often noise, vessels or harmless spots than tumour."""
CERTAIN = 0.985
"""A focus needs a voxel that is tumour with this probability."""
_CLOSED = 20.0
"""Logit of what lies enclosed in tumour."""
_SPECK_SHARE = 0.1
"""Of the largest piece of brain: smaller pieces are eyes or muscle."""

BRIGHT = 1.5
"""In shares of the brain's value: brighter than grey matter on FLAIR."""
_SURFACE_VOXELS = 3

_NEIGHBOURS = ndimage.generate_binary_structure(3, 3)


@dataclass(frozen=True)
class Regions:
    """What was found on the network's grid.

    Attributes:
        fields: logits of tumour and of its enhancing part, far below 0 away from the foci that count.
        foci_ml: volumes of the foci, largest first.
        brain: tumour included.
        seen: what the network itself says is tumour, without what brightness adds at its border.
        brain_ml: volume of the brain.
    """

    fields: Float32[Tensor, "2 slices rows columns"]
    brain: Bool[np.ndarray, "slices rows columns"]
    seen: Bool[np.ndarray, "slices rows columns"]
    foci_ml: tuple[float, ...]
    brain_ml: float

    @property
    def tumour_ml(self) -> float:
        return sum(self.foci_ml)


def find_regions(
    logits: Float32[Tensor, "4 slices rows columns"],
    shares: Float32[Tensor, "slices rows columns"],
    voxel_ml: float,
    with_contrast_t1: Float32[Tensor, "4 slices rows columns"] | None = None,
) -> Regions:
    """Foci of tumour within the brain.

    Args:
        logits: outside, brain, tumour, enhancing tumour, from FLAIR alone: it shows how far a tumour reaches.
        shares: FLAIR in shares of the brain's value.
        voxel_ml: volume of one voxel.
        with_contrast_t1: the same from both, which decides what of the tumour enhances; None for nothing.
    """
    tumour = _margin(logits, (2, 3), (0, 1))
    brain = _largest((_margin(logits, (1, 2, 3), (0,)) > 0).numpy())
    seen = [focus for focus in _pieces((tumour > 0).numpy()) if _counts(focus, tumour, brain, voxel_ml)]
    begun = np.logical_or.reduce([np.zeros(brain.shape, bool), *seen])
    drawn = extended(tumour, begun, brain, shares) if seen else tumour
    foci = [piece for piece in _pieces(ndimage.binary_fill_holes((drawn > 0).numpy())) if (piece & begun).any()]
    kept = np.logical_or.reduce([np.zeros(brain.shape, bool), *foci])
    drawn = torch.where(torch.from_numpy(kept) & (drawn <= 0), _CLOSED, drawn)
    enhancing = torch.full_like(tumour, -_CLOSED) if with_contrast_t1 is None else _margin(with_contrast_t1, (3,), (0, 1, 2))
    near = torch.from_numpy(ndimage.binary_dilation(kept, _NEIGHBOURS))
    return Regions(
        fields=torch.stack([torch.where(near, field, -_CLOSED) for field in (drawn, enhancing)]),
        brain=brain | kept,
        seen=begun,
        foci_ml=tuple(sorted((np.count_nonzero(focus) * voxel_ml for focus in foci), reverse=True)),
        brain_ml=np.count_nonzero(brain | kept) * voxel_ml,
    )


def _pieces(mask: Bool[np.ndarray, "slices rows columns"]) -> list[Bool[np.ndarray, "slices rows columns"]]:
    counted, number = ndimage.label(mask, _NEIGHBOURS)
    return [counted == piece for piece in range(1, number + 1)]


def _counts(
    focus: Bool[np.ndarray, "slices rows columns"],
    tumour: Float32[Tensor, "slices rows columns"],
    brain: Bool[np.ndarray, "slices rows columns"],
    voxel_ml: float,
) -> bool:
    """Whether a focus is large and certain enough, and touches the brain."""
    certain = float(torch.sigmoid(tumour[torch.from_numpy(focus)].max())) >= CERTAIN
    return certain and bool(np.count_nonzero(focus) * voxel_ml >= MINIMUM_FOCUS_ML) and bool((focus & brain).any())


def bright_surface_share(regions: Regions, shares: Float32[Tensor, "slices rows columns"]) -> float:
    """How much of the brain's surface layer, where the sulci are, is bright without being tumour; 0 to 1.

    Args:
        regions: on a grid of about 2 mm.
        shares: the image in shares of the brain's value.
    """
    inner = ndimage.binary_erosion(regions.brain)
    layer = inner & ~ndimage.binary_erosion(inner, iterations=_SURFACE_VOXELS) & ~regions.seen
    return float((shares.numpy()[layer] > BRIGHT).mean()) if layer.any() else 0.0


def _margin(logits: Float32[Tensor, "4 slices rows columns"], yes: tuple[int, ...], no: tuple[int, ...]) -> Tensor:
    """Logit of any of some classes against the others."""
    ends = torch.logsumexp(logits[list(yes)], 0) - torch.logsumexp(logits[list(no)], 0)
    return ends.clamp(-_CLOSED, _CLOSED)


def _largest(mask: Bool[np.ndarray, "slices rows columns"]) -> Bool[np.ndarray, "slices rows columns"]:
    """The largest piece and those nearly as large: a brain cut by missing slices may be in two."""
    counted, number = ndimage.label(mask)
    if not number:
        return mask
    sizes = np.bincount(counted.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= _SPECK_SHARE * sizes.max())[counted] & mask)
