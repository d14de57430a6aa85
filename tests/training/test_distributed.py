"""Two processes that train one network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from training.distributed import Group, current_group, from_all, from_leader, process_group
from training.fit import fit
from training.learner import Batch
from training.losses import LossChoice
from training.optimisers import OptimiserChoice
from training.plan import Plan
from training.watching import in_silence

ROOT = Path(__file__).parents[2]
PLAN = Plan(
    steps=8,
    loss=LossChoice(dice=0),
    optimiser=OptimiserChoice("sgd", rate=0.1),
    precision="float32",
    averaging=0.9,
    checkpoint_steps=3,
    validation_steps=4,
)
"""Cross entropy alone: the Dice of a batch is no mean over its parts."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Dropout(0.0), nn.Conv3d(4, 2, 1))


def one(generator: torch.Generator) -> Batch:
    image = torch.randn(1, 1, 8, 8, 8, generator=generator)
    return image, (image[:, 0] > 0).long()


def two(generator: torch.Generator) -> Batch:
    """The batches that two processes draw at the same step, as one."""
    pairs = [one(torch.Generator().manual_seed(2 * generator.initial_seed() + rank)) for rank in (0, 1)]
    return torch.cat([image for image, _ in pairs]), torch.cat([labels for _, labels in pairs])


def score(trained: nn.Module) -> float:
    image, labels = one(torch.Generator().manual_seed(77))
    return float((trained(image).argmax(1) == labels).float().mean())


def train_in_group(folder: Path) -> None:
    """What each process does; the leader writes the weights down."""
    torch.set_num_threads(1)
    with process_group() as group:
        trained = fit(network(), one, PLAN, folder / "checkpoint.pt", validate=score)
        if group.leads:
            torch.save(trained.state_dict(), folder / "weights.pt")


def _torchrun(folder: Path, reports: int) -> dict[str, torch.Tensor]:
    program = f"import pathlib, tests.training.test_distributed as t; t.train_in_group(pathlib.Path({str(folder)!r}))"
    script = folder / "program.py"
    script.write_text(program)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 8/8") == reports, "only one process talks"
    weights: dict[str, torch.Tensor] = torch.load(folder / "weights.pt", weights_only=True)
    return weights


@pytest.mark.slow
def test_two_processes_with_a_batch_of_one_train_as_one_with_a_batch_of_two(tmp_path: Path) -> None:
    found = _torchrun(tmp_path, reports=1)
    expected = fit(network(), two, PLAN, tmp_path / "alone.pt", validate=score, watch=in_silence)
    for name, tensor in expected.state_dict().items():
        assert torch.allclose(found[name], tensor, atol=1e-5), name
    again = _torchrun(tmp_path, reports=0)
    assert all(torch.equal(tensor, again[name]) for name, tensor in found.items()), "a finished run is only read"


def test_a_process_alone_is_its_own_group() -> None:
    with process_group() as group:
        assert group == current_group() == Group(0, 1)
        assert group.leads
        assert from_leader(5) == 5
        assert from_all("a") == ["a"]


def test_a_group_of_one_trains_as_no_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = fit(network(), one, PLAN, tmp_path / "alone.pt", validate=score, watch=in_silence)
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    with process_group() as group:
        assert group.size == 1
        grouped = fit(network(), one, PLAN, tmp_path / "grouped.pt", validate=score, watch=in_silence)
    assert all(torch.equal(tensor, grouped.state_dict()[name]) for name, tensor in alone.state_dict().items())
