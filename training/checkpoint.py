"""The state of a training on disk: written whole or not at all, and only continued with the settings it was begun with."""

import os
from pathlib import Path
from typing import Any

import torch

from training.distributed import current_group
from training.errors import TrainingError
from training.learner import Learner
from training.plan import Plan


def save(path: Path, learner: Learner, plan: Plan, step: int) -> None:
    """Write the state after so many steps; whoever is killed meanwhile leaves the former file."""
    state = {**learner.state_dict(), "step": step, "plan": plan.decisive()}
    if not current_group().leads:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def restore(path: Path, learner: Learner, plan: Plan) -> int:
    """Load the state where there is one; the number of steps already done.

    Raises:
        TrainingError: it was begun with other settings, or is not finished and was begun by another number of processes.
    """
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    _require_same(path, state.get("plan", {}), plan.decisive())
    learner.load_state_dict(state)
    step, begun, now = int(state["step"]), len(state["random"]), current_group().size
    if step < plan.steps and not learner.best.exhausted and begun != now:
        raise TrainingError(
            f"{path} was begun otherwise (processes {begun} then, {now} now), and another number draws other batches: start as "
            "many as then (torchrun --nproc-per-node), or use another folder"
        )
    return step


def _require_same(path: Path, begun: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Choices that did not exist when it was begun are not compared."""
    changed = [f"{name} {begun[name]} then, {now} now" for name, now in wanted.items() if begun.get(name, now) != now]
    if changed:
        raise TrainingError(f"{path} was begun with other settings ({'; '.join(changed)}): restore them, or use another folder")
