"""Fit a network: the loop that every recipe shares, resumable at any kill."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from training import checkpoint as checkpoints
from training.distributed import as_leader, current_group, training_device
from training.errors import TrainingError
from training.learner import Batch, Learner, Validate
from training.losses import Loss, make_loss
from training.plan import Plan
from training.watching import Watch, Watched, in_silence, print_lines

Sample = Callable[[torch.Generator], Batch]
"""Draws one batch: images [batch, channel, ...] and labels [batch, ...]."""
NO_VALIDATION = (
    "validation_steps (and with it early stopping and the plateau rate) needs a validation, and this recipe has none: set "
    "validation_steps = 0 and patience = 0, and another rate than plateau"
)
_SEED_STEP = 1_000_003


def fit(
    network: nn.Module,
    sample: Sample,
    plan: Plan,
    checkpoint: Path,
    *,
    loss: Loss | None = None,
    validate: Validate | None = None,
    watch: Watch = print_lines,
) -> nn.Module:
    """Train in place and return the network; continues from the checkpoint file where there is one.

    Each batch comes from a generator seeded with the plan's seed and the batch's number: a resumed run sees the batches an
    uninterrupted one would have seen, and two processes see together what one sees with `accumulate` doubled. The caller seeds
    the network's own initial weights.

    Args:
        network: trained on the plan's device, and on the processor again when it is returned.
        sample: draws one batch from a generator.
        plan: every choice.
        checkpoint: file of the state.
        loss: instead of the plan's.
        validate: scores the network, every `validation_steps` of the plan; the best weights are the result.
        watch: is told of each step.

    Raises:
        TrainingError: the plan asks for a validation and there is none, the checkpoint was begun otherwise, or the loss is no
            number.
    """
    if plan.validation_steps and validate is None:
        raise TrainingError(NO_VALIDATION)
    torch.set_num_threads(plan.threads)
    device = training_device(plan.device)
    learner = Learner(network.to(device), plan, loss or make_loss(plan.loss))
    first = checkpoints.restore(checkpoint, learner, plan)
    watch = watch if current_group().leads else in_silence
    started, mean_loss = time.monotonic(), 0.0
    for step in range(first, plan.steps):
        if learner.best.exhausted:
            break
        rate, found = learner.rate, learner.learn(_batches(sample, plan, step), step)
        mean_loss += (found - mean_loss) / min(step - first + 1, 20)
        looks = plan.validation_steps and _due(step, plan.validation_steps, plan.steps)
        score = learner.validate(validate, step + 1) if looks and validate else None
        saves = _due(step, plan.checkpoint_steps, plan.steps) or learner.best.exhausted
        if saves:
            checkpoints.save(checkpoint, learner, plan, step + 1)
        watch(Watched(step + 1, plan.steps, first, time.monotonic() - started, mean_loss, rate, score, saves))
    return as_leader(learner.finish().cpu())


def _due(step: int, every: int, steps: int) -> bool:
    return (step + 1) % every == 0 or step + 1 == steps


def _batches(sample: Sample, plan: Plan, step: int) -> Iterator[Batch]:
    """This process's share of the batches of a step."""
    group = current_group()
    for turn in range(plan.accumulate):
        number = (step * plan.accumulate + turn) * group.size + group.rank
        yield sample(torch.Generator().manual_seed(plan.seed * _SEED_STEP + number))
