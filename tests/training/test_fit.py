from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.models import own_tensors
from engine.networks.build import build_network
from tests.tiny_network import NETWORK
from training.fit import Batch, Schedule, fit, segmentation_loss

SCHEDULE = Schedule(steps=6, checkpoint_steps=2, bfloat16=False)


class PowerCutError(Exception):
    pass


def _ball(generator: torch.Generator) -> Batch:
    axis = torch.arange(16.0)
    centre = torch.rand(3, generator=generator) * 8 + 4
    z, y, x = axis.view(-1, 1, 1) - centre[0], axis.view(1, -1, 1) - centre[1], axis - centre[2]
    labels = (z**2 + y**2 + x**2 < 20).long()
    return (labels + torch.randn(16, 16, 16, generator=generator) * 0.3)[None, None], labels[None]


def _cut_at(step: int) -> Callable[[torch.Generator], Batch]:
    calls = iter(range(step))

    def sample(generator: torch.Generator) -> Batch:
        if next(calls, None) is None:
            raise PowerCutError
        return _ball(generator)

    return sample


def _network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(NETWORK)


def test_training_resumed_after_a_kill_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = fit(_network(), _ball, SCHEDULE, tmp_path / "whole.pt")
    with pytest.raises(PowerCutError):
        fit(_network(), _cut_at(5), SCHEDULE, tmp_path / "cut.pt")
    resumed = fit(_network(), _ball, SCHEDULE, tmp_path / "cut.pt")
    for name, tensor in own_tensors(whole).items():
        assert torch.equal(tensor, own_tensors(resumed)[name]), name


def test_training_is_decided_by_its_seed(tmp_path: Path) -> None:
    first, second = (fit(_network(), _ball, SCHEDULE, tmp_path / name) for name in ("a.pt", "b.pt"))
    assert all(torch.equal(tensor, own_tensors(second)[name]) for name, tensor in own_tensors(first).items())


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    fit(_network(), _ball, SCHEDULE, tmp_path / "run.pt")
    fit(_network(), _cut_at(0), SCHEDULE, tmp_path / "run.pt")


def test_a_network_learns_a_ball(tmp_path: Path) -> None:
    network = fit(_network(), _ball, Schedule(steps=60, bfloat16=False), tmp_path / "run.pt")
    image, labels = _ball(torch.Generator().manual_seed(99))
    with torch.inference_mode():
        assert (network(image).argmax(1) == labels).float().mean() > 0.95


def test_the_loss_is_nothing_for_a_sure_and_right_answer() -> None:
    labels = torch.tensor([[0, 1, 1, 0]])
    logits = torch.nn.functional.one_hot(labels, 2).movedim(-1, 1) * 40.0
    assert float(segmentation_loss(logits, labels)) < 1e-6
    assert float(segmentation_loss(-logits, labels)) > 10
