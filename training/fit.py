"""Fit a segmentation network: cross entropy + Dice, AdamW, one cycle of the learning rate, resumable at any kill."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

Batch = tuple[Tensor, Tensor]
Sample = Callable[[torch.Generator], Batch]
"""Draws one batch: images [batch, channel, slice, row, column] and labels [batch, slice, row, column]."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to learn.

    Attributes:
        steps: optimiser steps in all.
        checkpoint_steps: after how many steps the state is saved, so that a kill costs little.
        bfloat16: forward passes under autocast; worth it only where the processor multiplies bf16 itself.
    """

    steps: int
    seed: int = 0
    peak_rate: float = 4e-3
    warm_up_share: float = 0.15
    weight_decay: float = 1e-4
    gradient_limit: float = 5.0
    checkpoint_steps: int = 50
    bfloat16: bool = True


def segmentation_loss(logits: Float[Tensor, "batch classes *grid"], labels: Int64[Tensor, "batch *grid"]) -> Tensor:
    """Cross entropy plus one minus the soft Dice of each foreground class over the batch."""
    probabilities = logits.softmax(1)
    truth = functional.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    axes = [0, *range(2, logits.ndim)]
    overlap = (probabilities * truth).sum(axes)
    total = (probabilities + truth).sum(axes)
    dice = (2 * overlap + 1) / (total + 1)
    return functional.cross_entropy(logits, labels) + 1 - dice[1:].mean()


def fit(network: nn.Module, sample: Sample, schedule: Schedule, checkpoint: Path) -> nn.Module:
    """Train in place and return the network; continues from the checkpoint file where there is one.

    Each step draws its batch from a generator seeded with the schedule's seed and the step's number: a resumed run sees the
    batches an uninterrupted one would have seen. The caller seeds the network's own initial weights.
    """
    optimiser = torch.optim.AdamW(network.parameters(), schedule.peak_rate, weight_decay=schedule.weight_decay)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.peak_rate, total_steps=schedule.steps, pct_start=schedule.warm_up_share
    )
    first = _restore(checkpoint, network, optimiser, rates)
    network.train()
    started, running_loss = time.monotonic(), 0.0
    for step in range(first, schedule.steps):
        images, labels = sample(torch.Generator().manual_seed(schedule.seed * 1_000_003 + step))
        loss = _learn(network, images, labels, optimiser, schedule)
        rates.step()
        running_loss += (loss - running_loss) / min(step - first + 1, 20)
        if (step + 1) % schedule.checkpoint_steps == 0 or step + 1 == schedule.steps:
            _save(checkpoint, network, optimiser, rates, step + 1)
            _report(step + 1, first, schedule.steps, time.monotonic() - started, running_loss)
    return network.eval()


def _learn(network: nn.Module, images: Tensor, labels: Tensor, optimiser: torch.optim.Optimizer, schedule: Schedule) -> float:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=schedule.bfloat16):
        logits = network(images)
    loss = segmentation_loss(logits.float(), labels)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), schedule.gradient_limit)
    optimiser.step()
    return float(loss.detach())


def _save(
    checkpoint: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    rates: torch.optim.lr_scheduler.LRScheduler,
    step: int,
) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "rates": rates.state_dict(), "step": step}
    part = checkpoint.with_suffix(".part")
    torch.save(state, part)
    part.replace(checkpoint)


def _restore(
    checkpoint: Path, network: nn.Module, optimiser: torch.optim.Optimizer, rates: torch.optim.lr_scheduler.LRScheduler
) -> int:
    """Load the state where there is one; the number of steps already done."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    rates.load_state_dict(state["rates"])
    return int(state["step"])


def _report(step: int, first: int, steps: int, elapsed_s: float, loss: float) -> None:
    left_min = elapsed_s / (step - first) * (steps - step) / 60
    print(f"step {step}/{steps}, loss {loss:.3f}, about {left_min:.1f} min left", flush=True)
