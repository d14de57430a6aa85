"""The learning rate over time: warm up, then one cycle, cosine, polynomial, plateau or constant."""

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR


@dataclass(frozen=True, slots=True)
class RateChoice:
    """The shape of the learning rate.

    Attributes:
        warm_up_share: share of all steps over which the rate rises to its peak.
        power: of the polynomial. Source: nnU-Net uses 0.9.
        final_share: what cosine and polynomial end at, as a share of the peak.
        plateau_factor: what the rate is multiplied by when the validation has not improved for plateau_patience looks.
    """

    name: Literal["one-cycle", "cosine", "polynomial", "plateau", "constant"] = "one-cycle"
    warm_up_share: float = 0.15
    power: float = 0.9
    final_share: float = 0.0
    plateau_factor: float = 0.5
    plateau_patience: int = 3


class Rates(Protocol):
    """What sets the optimiser's rates after every step, and can be stopped and resumed."""

    def step(self) -> None:
        """One optimiser step is done."""

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""


def make_rates(optimiser: Optimizer, choice: RateChoice, steps: int) -> "Rates":
    """The rates over `steps` optimiser steps; each group of parameters keeps its share of the peak."""
    if choice.name == "one-cycle":
        peaks = [group["lr"] for group in optimiser.param_groups]
        return OneCycleLR(optimiser, peaks, total_steps=steps, pct_start=choice.warm_up_share)
    if choice.name == "plateau":
        return PlateauRates(optimiser, choice, steps)
    return LambdaLR(optimiser, lambda step: share_of_peak(choice, step, steps))


def share_of_peak(choice: RateChoice, step: int, steps: int) -> float:
    """The rate at a step as a share of the peak: a straight rise, then the chosen shape down to `final_share`."""
    warm_up = round(choice.warm_up_share * steps)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    done = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    if choice.name == "cosine":
        shape = (1 + math.cos(math.pi * done)) / 2
    elif choice.name == "polynomial":
        shape = (1 - done) ** choice.power
    else:
        shape = 1.0
    return choice.final_share + (1 - choice.final_share) * shape


class PlateauRates:
    """Constant after the warm-up; each time the validation stands still the rate falls by a factor.

    torch's ReduceLROnPlateau has no warm-up and overwrites the rate of whatever does; hence a count of our own.
    """

    def __init__(self, optimiser: Optimizer, choice: RateChoice, steps: int) -> None:
        """Rates for `steps` steps."""
        self._choice = choice
        self._best, self._stale, self._falls = -math.inf, 0, 0
        self._inner = LambdaLR(optimiser, lambda step: share_of_peak(choice, step, steps) * choice.plateau_factor**self._falls)

    def step(self) -> None:
        """One optimiser step is done."""
        self._inner.step()

    def look(self, score: float) -> None:
        """One validation is done; higher is better."""
        if score > self._best:
            self._best, self._stale = score, 0
            return
        self._stale += 1
        if self._stale >= self._choice.plateau_patience:
            self._falls, self._stale = self._falls + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on."""
        return {"inner": self._inner.state_dict(), "counts": (self._best, self._stale, self._falls)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._inner.load_state_dict(state_dict["inner"])
        self._best, self._stale, self._falls = state_dict["counts"]
