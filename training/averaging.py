"""A running mean of the weights (exponential moving average): smoother than any one step's, and often better."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def make_average(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of the network that follows it; `update_parameters(network)` after each step.

    The decay rises to its value over the first steps, so that the random beginning is forgotten.

    Args:
        network: what is trained.
        decay: share of the mean that each step keeps, such as 0.999.
    """

    def follow(mean: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
        if not mean.is_floating_point():  # counters of normalisation layers
            return now
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        return torch.lerp(now, mean, kept)

    return AveragedModel(network, avg_fn=follow, use_buffers=True)
