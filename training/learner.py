"""What moves during training - weights, optimiser, rates, scaler, mean, best - and one step of it."""

import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.averaging import make_average
from training.distributed import current_group, from_all, from_leader, shared
from training.errors import TrainingError
from training.freezing import encoder_parameters, set_frozen
from training.losses import Loss
from training.optimisers import make_optimiser
from training.plan import Plan
from training.rates import PlateauRates, make_rates
from training.stopping import BestWeights

Batch = tuple[Tensor, Tensor]
Validate = Callable[[nn.Module], float]
"""A score of the network in evaluation mode; higher is better."""
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_FIRST_SCALE = 2.0**12


class Learner:
    """The network being trained, and everything that a resumed training must find as it was."""

    def __init__(self, network: nn.Module, plan: Plan, loss: Loss) -> None:
        """Ready for the first step, on the device where the network is."""
        self.network, self._plan, self._loss = network, plan, loss
        self._device = next(network.parameters()).device
        slow = encoder_parameters(network, plan.encoder)
        self._optimiser = make_optimiser(network, plan.optimiser, slow, plan.encoder_rate_share)
        self._rates = make_rates(self._optimiser, plan.rates, plan.steps)
        self._scaler = torch.amp.GradScaler(self._device.type, _FIRST_SCALE, enabled=plan.precision == "float16")
        self._average = make_average(network, plan.averaging) if plan.averaging else None
        self.best = BestWeights(plan.patience)
        self._shared: nn.Module | None = None
        self._frozen: bool | None = None

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimiser.param_groups[0]["lr"])

    def learn(self, batches: Iterable[Batch], step: int) -> float:
        """One optimiser step over `accumulate` batches; their mean loss.

        Raises:
            TrainingError: the loss is no number any more.
        """
        network = self._prepared(step)
        self._optimiser.zero_grad(set_to_none=True)
        total, count = 0.0, self._plan.accumulate
        for number, (images, labels) in enumerate(batches, start=1):
            waits = isinstance(network, DistributedDataParallel) and number < count
            with network.no_sync() if waits else nullcontext():  # type: ignore[operator]
                loss = self._forward(network, images, labels)
                self._scaler.scale(loss / count).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach()) / count
        if not math.isfinite(total):
            raise TrainingError(f"the loss is {total} at step {step + 1}: lower optimiser.rate, or look at the images for NaN")
        self._scaler.unscale_(self._optimiser)
        nn.utils.clip_grad_norm_(self.network.parameters(), self._plan.gradient_limit)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._rates.step()
        if self._average is not None:
            self._average.update_parameters(self.network)
        return total

    def validate(self, validate: Validate, step: int) -> float:
        """Score the network, remember it if it is the best, and tell the rates."""
        looked_at = self._result().eval()
        with torch.inference_mode():
            seen = looked_at if self._device.type == "cpu" else _OnDevice(looked_at, self._device)
            score = from_leader(validate(seen) if current_group().leads else 0.0)
        self.best.look(score, step, looked_at)
        if isinstance(self._rates, PlateauRates):
            self._rates.look(score)
        self._frozen = None  # evaluation mode is left before the next step
        return score

    def finish(self) -> nn.Module:
        """The network, with its best weights where a validation chose them, else its mean, else its last, ready to infer."""
        if self._average is not None:
            self.network.load_state_dict(self._average.module.state_dict())
        self.best.restore(self.network)
        return self.network.requires_grad_().eval()

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the steps to come."""
        random = {"cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self._device)
        return {name: part.state_dict() for name, part in self._parts().items()} | {"random": from_all(random)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        if len(state["random"]) != current_group().size:
            return  # finished by another number of processes: nothing more is drawn
        random = state["random"][current_group().rank]
        torch.set_rng_state(random["cpu"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"], self._device)

    def _parts(self) -> dict[str, Any]:
        parts = {"network": self.network, "optimiser": self._optimiser, "rates": self._rates}
        if self._plan.precision == "float16":
            parts["scaler"] = self._scaler
        if self._average is not None:
            parts["average"] = self._average
        if self._plan.validation_steps:
            parts["best"] = self.best
        return parts

    def _prepared(self, step: int) -> nn.Module:
        """The network in training mode, its encoder held or free as the plan says for this step."""
        frozen = step < self._plan.frozen_steps
        if self._shared is None or frozen != self._frozen:
            self.network.train()
            set_frozen(self.network, self._plan.encoder, frozen=frozen)
            self._shared, self._frozen = shared(self.network), frozen
        return self._shared

    def _forward(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        kind = _PRECISIONS[self._plan.precision]
        with torch.autocast(self._device.type, kind, enabled=kind != torch.float32):
            logits = network(images.to(self._device))
        return self._loss(logits.float(), labels.to(self._device))

    def _result(self) -> nn.Module:
        return self.network if self._average is None else self._average.module


class _OnDevice(nn.Module):
    """A network that takes images from the processor and gives its answers back there, wherever it is."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        super().__init__()
        self._network, self._device = network, device
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self._network(images.to(self._device))
        return answer.to(images.device)
