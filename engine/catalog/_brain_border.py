"""The network finds a tumour and is shy at its border: brightness draws it, half way between tumour and brain."""

import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy import ndimage
from torch import Tensor

REACH_VOXELS = 8
"""How far brightness may carry a tumour beyond what the network says: 16 mm at 2 mm."""
LEAST_BRIGHT = 1.25
"""In shares of the brain's value: grey matter and coil shading stay below it."""
_SMOOTHING_VOXELS = 0.75
_STEEPNESS = 10.0
"""Logit per share of the brain's value."""
_NEIGHBOURS = ndimage.generate_binary_structure(3, 1)


def extended(
    tumour: Float32[Tensor, "slices rows columns"],
    seen: Bool[np.ndarray, "slices rows columns"],
    brain: Bool[np.ndarray, "slices rows columns"],
    shares: Float32[Tensor, "slices rows columns"],
) -> Float32[Tensor, "slices rows columns"]:
    """The logits of tumour, raised around its foci where the image is about as bright as in them.

    One border for all foci: a faint one beside a bright one, which may be none, does not spread over what is normal.

    Args:
        tumour: logits; above 0 is tumour.
        seen: the foci that count.
        brain: where tumour may be.
        shares: FLAIR in shares of the brain's value.
    """
    smooth = ndimage.gaussian_filter(shares.numpy(), _SMOOTHING_VOXELS)
    border = max(LEAST_BRIGHT, (float(np.median(smooth[seen])) + 1) / 2)
    bright = (smooth > border) & brain
    thick = ndimage.binary_opening(bright, _NEIGHBOURS)  # cortex is a ribbon
    reached = ndimage.binary_dilation(seen, _NEIGHBOURS, REACH_VOXELS, mask=thick | seen)
    near = torch.from_numpy(ndimage.binary_dilation(reached, _NEIGHBOURS))
    brightness = torch.from_numpy(smooth - border) * _STEEPNESS
    return torch.where(near & torch.from_numpy(brain), torch.maximum(tumour, brightness), tumour)
