"""Linear interpolation along one axis at a time: what resampling between parallel grids comes down to."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

Beyond = Literal["zeros", "border"]


@dataclass(frozen=True)
class Taps:
    """For each point the two neighbours that it lies between, and the weight of each."""

    low: Int64[Tensor, "points"]
    high: Int64[Tensor, "points"]
    low_weight: Float32[Tensor, "points"]
    high_weight: Float32[Tensor, "points"]

    def of(self, points: slice) -> "Taps":
        """The taps of some of the points."""
        return Taps(self.low[points], self.high[points], self.low_weight[points], self.high_weight[points])


def taps(index: Float64[np.ndarray, "points"], count: int, beyond: Beyond, device: torch.device) -> Taps:
    """The taps at continuous indices of an axis with `count` values; beyond them zeros, or the border's value."""
    if beyond == "border":
        index = np.clip(index, 0, count - 1)
    low = np.floor(index).astype(np.int64)
    share = index - low
    weights = [1 - share, share]
    neighbours = [low, low + 1]
    for side in (0, 1):
        weights[side] = np.where((neighbours[side] >= 0) & (neighbours[side] < count), weights[side], 0.0)
        neighbours[side] = np.clip(neighbours[side], 0, count - 1)
    where = [torch.from_numpy(array).to(device) for array in neighbours]
    shares = [torch.from_numpy(array).float().to(device) for array in weights]
    return Taps(where[0], where[1], shares[0], shares[1])


def interpolate(values: Float[Tensor, "*grid"], axis: int, at: Taps) -> Float[Tensor, "*points"]:
    """The values at the taps along one axis. Whole rows are gathered: an axis that is the last in memory is turned first."""
    last = values.ndim - 1
    axis %= values.ndim
    if axis == last:
        return interpolate(values.transpose(-1, -2).contiguous(), last - 1, at).transpose(-1, -2)
    shape = [-1 if dimension == axis else 1 for dimension in range(values.ndim)]
    low, high = values.index_select(axis, at.low), values.index_select(axis, at.high)
    return low.mul_(at.low_weight.view(shape)).addcmul_(high, at.high_weight.view(shape))
