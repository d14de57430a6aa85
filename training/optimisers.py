"""Adam, AdamW or SGD over one or two groups of parameters: the encoder may learn slower than the rest."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class OptimiserChoice:
    """How a gradient becomes a step.

    Attributes:
        rate: the peak of the learning rate; the schedule gives the share of it at each step.
        momentum: of SGD (Nesterov); Adam's stays at its usual 0.9.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    rate: float = 4e-3
    weight_decay: float = 1e-4
    momentum: float = 0.9


def make_optimiser(
    network: nn.Module, choice: OptimiserChoice, slow: Iterable[nn.Parameter] = (), slow_share: float = 1.0
) -> torch.optim.Optimizer:
    """The optimiser of a network's parameters.

    Args:
        network: what is trained.
        choice: which optimiser.
        slow: parameters that learn at another rate (a pretrained encoder).
        slow_share: their rate as a share of the others'.
    """
    chosen = {id(parameter) for parameter in slow}
    if not chosen:
        return _build(network.parameters(), choice)
    fast = [parameter for parameter in network.parameters() if id(parameter) not in chosen]
    held = [parameter for parameter in network.parameters() if id(parameter) in chosen]
    return _build([{"params": fast, "lr": choice.rate}, {"params": held, "lr": choice.rate * slow_share}], choice)


def _build(groups: Any, choice: OptimiserChoice) -> torch.optim.Optimizer:
    if choice.name == "sgd":
        momentum = choice.momentum
        return torch.optim.SGD(groups, choice.rate, momentum=momentum, weight_decay=choice.weight_decay, nesterov=momentum > 0)
    kind = torch.optim.AdamW if choice.name == "adamw" else torch.optim.Adam
    return kind(groups, choice.rate, weight_decay=choice.weight_decay)
