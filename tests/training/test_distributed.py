"""Two processes that train one network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.test_real_cases import SHORT, ball_data
from training.commands import TrainingRequest, export_run, train_folds, train_recipe
from training.distributed import Group, chosen_device, current_group, from_all, from_leader, process_group
from training.errors import TrainingError
from training.fit import fit
from training.held_out import HeldOut
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
        first = from_all([tensor.sum().item() for tensor in trained.state_dict().values()])
        assert first[0] == first[-1], "every process has the leader's network"


def _torchrun(*words: object) -> subprocess.CompletedProcess[str]:
    """A program in two processes, to its end."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500, check=False)


def _trained_by_two(folder: Path, reports: int) -> dict[str, torch.Tensor]:
    script = folder / "program.py"
    script.write_text(f"import pathlib, tests.training.test_distributed as t; t.train_in_group(pathlib.Path({str(folder)!r}))")
    done = _torchrun(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 8/8") == reports, "only one process talks"
    weights: dict[str, torch.Tensor] = torch.load(folder / "weights.pt", weights_only=True)
    return weights


@pytest.mark.slow
def test_two_processes_with_a_batch_of_one_train_as_one_with_a_batch_of_two(tmp_path: Path) -> None:
    found = _trained_by_two(tmp_path, reports=1)
    expected = fit(network(), two, PLAN, tmp_path / "alone.pt", validate=score, watch=in_silence)
    for name, tensor in expected.state_dict().items():
        assert torch.allclose(found[name], tensor, atol=1e-5), name
    again = _trained_by_two(tmp_path, reports=0)
    assert all(torch.equal(tensor, again[name]) for name, tensor in found.items()), "a finished run is only read"


@pytest.mark.slow
def test_two_processes_train_a_fold_and_the_leader_measures_it_alone(tmp_path: Path) -> None:
    """As a person starts it; the recipe has batch normalisation, a validation, real cases beside phantoms, and an export."""
    data, run = ball_data(tmp_path / "data"), tmp_path / "run"
    overrides = [f"--set={each}" for each in SHORT]
    words = ["-m", "dicom_node.cli", "train", "example", "--output", run, "--data", data, "--fold", "1/2", *overrides]
    done = _torchrun(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights ") == 1, "only one process talks"
    assert HeldOut.read(run).cases == {"ball": 2}
    assert export_run(run, tmp_path / "package").weights_digest in done.stdout
    with pytest.raises(TrainingError, match="processes 2 then, 1 now"):
        train_recipe(TrainingRequest("example", run, data, SHORT, fold="1/2"))


def test_folds_in_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="--folds trains one fold after the other in one process"):
        train_folds(TrainingRequest("example", tmp_path / "run", tmp_path, SHORT), 2)


def test_each_process_has_a_gpu_of_its_own_where_there_are_any() -> None:
    assert chosen_device("auto", 0, gpus=0) == torch.device("cpu")
    assert [chosen_device(wish, 1, gpus=2) for wish in ("auto", "cuda")] == [torch.device("cuda", 1)] * 2
    assert chosen_device("cpu", 5, gpus=2) == torch.device("cpu")
    assert chosen_device("cuda:1", 0, gpus=2) == torch.device("cuda", 1)
    for wish, gpus in (("auto", 2), ("cuda", 0)):
        with pytest.raises(TrainingError, match=f"process 3 of this machine has no GPU .there are {gpus}.*plan.device=cpu"):
            chosen_device(wish, 2, gpus)


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
