"""Early stopping: keep the best weights by the validation score, and stop when it has not risen for long."""

import math
from typing import Any

from torch import Tensor, nn


class BestWeights:
    """The weights of the highest score so far; `exhausted` after `patience` looks without a higher one."""

    def __init__(self, patience: int) -> None:
        """With a patience of 0 it never stops, and still keeps the best."""
        self._patience = patience
        self.score, self.step, self._stale = -math.inf, 0, 0
        self._weights: dict[str, Tensor] = {}

    def look(self, score: float, step: int, network: nn.Module) -> None:
        """A validation of the network after so many steps; higher is better."""
        if score > self.score:
            self.score, self.step, self._stale = score, step, 0
            self._weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        else:
            self._stale += 1

    @property
    def exhausted(self) -> bool:
        """Whether it is time to stop."""
        return 0 < self._patience <= self._stale

    def restore(self, network: nn.Module) -> None:
        """Give the network the best weights; nothing where there was no look."""
        if self._weights:
            network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on."""
        return {"counts": (self.score, self.step, self._stale), "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.score, self.step, self._stale = state["counts"]
        self._weights = state["weights"]
