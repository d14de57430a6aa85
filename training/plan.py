"""How a network is to be trained: every choice that decides its weights, as one value."""

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal

from training.losses import LossChoice
from training.optimisers import OptimiserChoice
from training.rates import RateChoice

_OF_NO_WEIGHT = ("checkpoint_steps", "device")


@dataclass(frozen=True, slots=True)
class Plan:
    """The choices of one training; the defaults suit a U-Net of a few million parameters.

    Attributes:
        steps: optimiser steps in all.
        seed: decides the batches, and with them the weights.
        gradient_limit: norm that gradients are clipped to.
        accumulate: batches whose gradients make one step: a large batch in little memory.
        precision: of the forward pass. bfloat16 pays only where the processor multiplies it itself; float16 is for GPUs.
        averaging: decay of the running mean of the weights, which then is the result; 0 for none.
        encoder: beginnings of the names of those parameters that are the encoder, for the next two.
        frozen_steps: steps during which the encoder stays as it is (pretrained).
        encoder_rate_share: the encoder's learning rate afterwards, as a share of the others'.
        device: "auto" takes a GPU where there is one; else as torch names it (cpu, cuda:1).
        threads: of the processor. The order of sums follows it, and so do the last digits of the weights.
        checkpoint_steps: after how many steps the state is saved, so that a kill costs little.
        validation_steps: after how many steps the validation looks; 0 for never.
        patience: looks without a better score after which training stops; 0 for never.
    """

    steps: int
    seed: int = 0
    loss: LossChoice = field(default_factory=LossChoice)
    optimiser: OptimiserChoice = field(default_factory=OptimiserChoice)
    rates: RateChoice = field(default_factory=RateChoice)
    gradient_limit: float = 5.0
    accumulate: int = 1
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    averaging: float = 0.0
    encoder: tuple[str, ...] = ()
    frozen_steps: int = 0
    encoder_rate_share: float = 1.0
    device: str = "auto"
    threads: int = 1
    checkpoint_steps: int = 50
    validation_steps: int = 0
    patience: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name in ("steps", "accumulate", "threads", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if not 0 <= self.averaging < 1:
            raise ValueError(f"averaging = {self.averaging}: must be at least 0 and below 1, such as 0.999")
        if self.patience and not self.validation_steps:
            raise ValueError("patience needs validation_steps: without a validation nothing says when to stop")
        if self.rates.name == "plateau" and not self.validation_steps:
            raise ValueError("rates.name = plateau needs validation_steps: without a validation nothing says when to lower it")
        if self.frozen_steps and not self.encoder:
            raise ValueError("frozen_steps needs encoder: the names of the parameters to hold")

    def decisive(self) -> dict[str, Any]:
        """The choices that decide the weights, flat by dotted name."""
        return {name: value for name, value in _flat(asdict(self)).items() if name not in _OF_NO_WEIGHT}


def plans_of(settings: Any) -> list[Plan]:
    """Every plan among a recipe's settings: some train several networks."""
    if isinstance(settings, Plan):
        return [settings]
    parts = [getattr(settings, each.name) for each in fields(settings)] if is_dataclass(settings) else []
    return [plan for part in parts for plan in plans_of(part)]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found
