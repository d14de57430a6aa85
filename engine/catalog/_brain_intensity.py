"""MR has no unit: the intensities of a head, with or without its skull, brought to one scale."""

import torch
from jaxtyping import Float32
from torch import Tensor

_AIR_SHARE = 0.2
_BRAIN_RANGE = (0.55, 1.6)
_ROUNDS = 3


def brain_level(values: Float32[Tensor, "slices rows columns"]) -> float:
    """The value around which most of the head lies, which is the brain's; 0 where the image is empty.

    The median of what is no air, then of what lies near it: fat, skull, a tumour or missing slices move it little.
    """
    thinned = values[::2, ::2, ::2].flatten()
    thinned = thinned[thinned > 0]
    if not thinned.numel():
        return 0.0
    level = float(thinned[thinned > _AIR_SHARE * torch.quantile(thinned[:10_000_000], 0.98)].median())
    low, high = _BRAIN_RANGE
    for _ in range(_ROUNDS):
        level = float(thinned[(thinned >= low * level) & (thinned <= high * level)].median())
    return level


def relative_to_brain(values: Float32[Tensor, "slices rows columns"]) -> Float32[Tensor, "slices rows columns"]:
    """The brain's value becomes 1, air stays 0."""
    return values.clamp(min=0) / (brain_level(values) or 1.0)
