"""MR has no unit: the intensities of a head, with or without its skull, brought to one scale."""

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

_DARKEST_SHARE = 0.01
"""Of the brightest values: what is darker is air in any image."""
_BINS = 240
_SMOOTHING = 0.1
"""Of the logarithm: about the spread of a tissue's values."""
_BRAIN_RANGE = (0.55, 1.6)
_ROUNDS = 3


def brain_level(values: Float32[Tensor, "slices rows columns"]) -> float:
    """The brain's value: that around which the head has most of its signal; 0 where the image is empty.

    The peak of the histogram of logarithms, each voxel counted with its value (so that noisy air, of which there may be much,
    counts little), then the median of what lies near it: grey and white matter together.
    """
    thinned = values[::2, ::2, ::2].numpy().ravel()
    thinned = thinned[thinned > 0]
    if not thinned.size:
        return 0.0
    top = float(np.percentile(thinned, 99.9))
    heard = thinned[thinned > _DARKEST_SHARE * top]
    ends = (np.log(_DARKEST_SHARE * top), np.log(2 * top))
    signal, edges = np.histogram(np.log(heard), bins=_BINS, range=ends, weights=heard)
    peak = int(np.argmax(gaussian_filter1d(signal, _SMOOTHING * _BINS / (ends[1] - ends[0]))))
    level = float(np.exp((edges[peak] + edges[peak + 1]) / 2))
    low, high = _BRAIN_RANGE
    for _ in range(_ROUNDS):
        level = float(np.median(heard[(heard >= low * level) & (heard <= high * level)]))
    return level


def relative_to_brain(values: Float32[Tensor, "slices rows columns"]) -> Float32[Tensor, "slices rows columns"]:
    """The brain's value becomes 1, air stays 0."""
    return values.clamp(min=0) / (brain_level(values) or 1.0)
