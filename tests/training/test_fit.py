from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.models import own_tensors
from engine.networks.build import build_network
from tests.tiny_network import NETWORK
from training.errors import TrainingError
from training.fit import fit
from training.learner import Batch
from training.losses import LossChoice
from training.optimisers import OptimiserChoice
from training.plan import Plan
from training.rates import RateChoice
from training.watching import Watched, in_silence

PLAN = Plan(steps=6, checkpoint_steps=2, precision="float32")
EVERYTHING = replace(
    PLAN,
    steps=12,
    averaging=0.9,
    accumulate=2,
    validation_steps=2,
    patience=4,
    rates=RateChoice("plateau", plateau_patience=1),
    precision="bfloat16",
)
"""A plan in which everything that has a state has one."""


class PowerCutError(Exception):
    pass


class WithDropout(nn.Module):
    """Draws from torch's own random numbers, as dropout does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = build_network(NETWORK)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(nn.functional.dropout(images, 0.3, training=self.training))
        return logits


def _ball(generator: torch.Generator) -> Batch:
    axis = torch.arange(16.0)
    centre = torch.rand(3, generator=generator) * 8 + 4
    z, y, x = axis.view(-1, 1, 1) - centre[0], axis.view(1, -1, 1) - centre[1], axis - centre[2]
    labels = (z**2 + y**2 + x**2 < 20).long()
    return (labels + torch.randn(16, 16, 16, generator=generator) * 0.3)[None, None], labels[None]


def _cut_at(batch: int) -> Callable[[torch.Generator], Batch]:
    calls = iter(range(batch))

    def sample(generator: torch.Generator) -> Batch:
        if next(calls, None) is None:
            raise PowerCutError
        return _ball(generator)

    return sample


def _network(kind: Callable[[], nn.Module] = WithDropout) -> nn.Module:
    torch.manual_seed(0)
    return kind()


def _plain() -> nn.Module:
    return build_network(NETWORK)


def _accuracy(network: nn.Module) -> float:
    image, labels = _ball(torch.Generator().manual_seed(99))
    return float((network(image).argmax(1) == labels).float().mean())


def _same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(tensor, own_tensors(second)[name]) for name, tensor in own_tensors(first).items())


@pytest.mark.parametrize(("plan", "cut"), [(PLAN, 5), (EVERYTHING, 15)])
def test_training_resumed_after_a_kill_ends_with_the_same_weights(tmp_path: Path, plan: Plan, cut: int) -> None:
    whole = fit(_network(), _ball, plan, tmp_path / "whole.pt", validate=_accuracy)
    with pytest.raises(PowerCutError):
        fit(_network(), _cut_at(cut), plan, tmp_path / "cut.pt", validate=_accuracy)
    torch.manual_seed(1234)  # another process has other random numbers
    resumed = fit(_network(), _ball, plan, tmp_path / "cut.pt", validate=_accuracy)
    assert _same(whole, resumed)


def test_training_is_decided_by_its_seed(tmp_path: Path) -> None:
    first, second = (fit(_network(), _ball, PLAN, tmp_path / name) for name in ("a.pt", "b.pt"))
    other = fit(_network(), _ball, replace(PLAN, seed=1), tmp_path / "c.pt")
    assert _same(first, second)
    assert not _same(first, other)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = fit(_network(), _ball, PLAN, tmp_path / "run.pt")
    assert _same(first, fit(_network(), _cut_at(0), PLAN, tmp_path / "run.pt"))


def test_a_training_is_not_continued_with_other_settings(tmp_path: Path) -> None:
    fit(_network(), _ball, PLAN, tmp_path / "run.pt")
    other = replace(PLAN, optimiser=OptimiserChoice(rate=0.1))
    with pytest.raises(TrainingError, match=r"optimiser.rate 0.004 then, 0.1 now"):
        fit(_network(), _ball, other, tmp_path / "run.pt")
    fit(_network(), _ball, replace(PLAN, checkpoint_steps=3), tmp_path / "run.pt")


def test_a_network_learns_a_ball(tmp_path: Path) -> None:
    network = fit(_network(_plain), _ball, replace(PLAN, steps=60), tmp_path / "run.pt", watch=in_silence)
    with torch.inference_mode():
        assert _accuracy(network) > 0.95


def test_gradients_of_several_batches_make_the_step_of_one_large_batch(tmp_path: Path) -> None:
    class Linear(nn.Conv3d):
        def __init__(self) -> None:
            super().__init__(1, 2, 3, padding=1)

    def large(generator: torch.Generator) -> Batch:
        number = generator.initial_seed()
        pairs = [_ball(torch.Generator().manual_seed(2 * number + turn)) for turn in (0, 1)]
        return torch.cat([image for image, _ in pairs]), torch.cat([labels for _, labels in pairs])

    # The Dice of a batch is no mean over its parts; cross entropy is.
    plan = replace(PLAN, loss=LossChoice(dice=0), optimiser=OptimiserChoice("sgd", rate=0.1))
    once = fit(_network(Linear), large, plan, tmp_path / "once.pt")
    twice = fit(_network(Linear), _ball, replace(plan, accumulate=2), tmp_path / "twice.pt")
    for name, tensor in own_tensors(once).items():
        assert torch.allclose(tensor, own_tensors(twice)[name], atol=1e-6), name


def test_training_stops_early_with_the_best_weights(tmp_path: Path) -> None:
    scores = iter([0.2, 0.9, 0.5, 0.4, 0.3, 0.2])
    seen: list[Watched] = []
    kept: dict[int, dict[str, torch.Tensor]] = {}

    def validate(network: nn.Module) -> float:
        kept[len(kept)] = {name: tensor.clone() for name, tensor in own_tensors(network).items()}
        return next(scores)

    plan = replace(PLAN, steps=50, validation_steps=2, patience=2)
    network = fit(_network(), _ball, plan, tmp_path / "run.pt", validate=validate, watch=seen.append)
    assert seen[-1].step == 8
    assert [each.score for each in seen if each.score is not None] == [0.2, 0.9, 0.5, 0.4]
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in own_tensors(network).items())
    again = fit(_network(), _cut_at(0), plan, tmp_path / "run.pt", validate=validate)
    assert _same(network, again)


@pytest.mark.parametrize("plan", [replace(PLAN, validation_steps=2), replace(EVERYTHING, patience=0)])
def test_a_plan_that_needs_a_validation_is_refused_without_one(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(TrainingError, match=r"needs a validation, and this recipe has none: set validation_steps = 0"):
        fit(_network(), _ball, plan, tmp_path / "run.pt")
    assert not (tmp_path / "run.pt").exists()


def _as_begun_by_two(file: Path, step: int) -> None:
    """The checkpoint as two processes would have left it after so many steps."""
    state = torch.load(file, weights_only=True)
    torch.save({**state, "random": state["random"][:1] * 2, "step": step}, file)


def test_a_training_is_not_continued_by_another_number_of_processes(tmp_path: Path) -> None:
    first = fit(_network(), _ball, PLAN, tmp_path / "run.pt")
    _as_begun_by_two(tmp_path / "run.pt", step=6)
    assert _same(first, fit(_network(), _cut_at(0), PLAN, tmp_path / "run.pt")), "a finished one is only read"
    _as_begun_by_two(tmp_path / "run.pt", step=4)
    with pytest.raises(TrainingError, match="processes 2 then, 1 now"):
        fit(_network(), _ball, PLAN, tmp_path / "run.pt")


def test_the_mean_of_the_weights_is_the_result(tmp_path: Path) -> None:
    mean = fit(_network(), _ball, replace(PLAN, averaging=0.9), tmp_path / "mean.pt")
    last = fit(_network(), _ball, PLAN, tmp_path / "last.pt")
    assert not _same(mean, last)


def test_a_held_encoder_stays_as_it_is_and_then_learns_slower(tmp_path: Path) -> None:
    weight, free = "inner.input_block.conv1.conv.weight", "inner.output_block.conv.conv.weight"
    begun = {name: tensor.clone() for name, tensor in own_tensors(_network()).items()}

    def moved(frozen: int, share: float, name: str) -> tuple[float, nn.Module]:
        plan = replace(
            PLAN, encoder=("inner.input_block",), frozen_steps=frozen, encoder_rate_share=share, rates=RateChoice("constant", 0)
        )
        network = fit(_network(), _ball, plan, tmp_path / f"{frozen}-{share}.pt")
        return float((own_tensors(network)[name] - begun[name]).detach().abs().max()), network

    held, network = moved(6, 1.0, weight)
    assert held == 0
    statistics = [name for name in begun if name.startswith("inner.input_block") and "running" in name]
    assert statistics
    assert all(torch.equal(own_tensors(network)[name], begun[name]) for name in statistics)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert moved(6, 1.0, free)[0] > 0
    assert 0 < moved(3, 0.1, weight)[0] < moved(0, 1.0, weight)[0] / 5


def test_an_encoder_that_the_network_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no parameter's name begins with 'backbone'; the network's parts are inner"):
        fit(_network(), _ball, replace(PLAN, encoder=("backbone",), frozen_steps=1), tmp_path / "run.pt")


def test_half_precision_scales_its_gradients_and_learns(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=25, precision="float16")
    network = fit(_network(_plain), _ball, plan, tmp_path / "run.pt", watch=in_silence)
    with torch.inference_mode():
        assert _accuracy(network) > 0.9
    assert torch.load(tmp_path / "run.pt", weights_only=True)["scaler"]["scale"] > 0


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    def sample(generator: torch.Generator) -> Batch:
        images, labels = _ball(generator)
        return images * float("nan"), labels

    with pytest.raises(TrainingError, match="the loss is nan at step 1"):
        fit(_network(), sample, PLAN, tmp_path / "run.pt")


def test_a_watcher_is_told_of_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Watched] = []
    fit(_network(), _ball, PLAN, tmp_path / "a.pt", watch=seen.append)
    assert [each.step for each in seen] == list(range(1, 7))
    assert [each.saved for each in seen] == [False, True] * 3
    assert seen[-1].left_s == 0
    assert all(each.rate > 0 for each in seen)
    fit(_network(), _ball, PLAN, tmp_path / "b.pt", watch=in_silence)
    assert capsys.readouterr().out == ""
    fit(_network(), _ball, PLAN, tmp_path / "c.pt")
    assert "step 6/6" in capsys.readouterr().out


def test_a_validation_looks_at_a_network_that_does_not_learn_from_it(tmp_path: Path) -> None:
    modes: list[bool] = []
    steps = count()

    def validate(network: nn.Module) -> float:
        modes.extend(module.training for module in network.modules())
        return float(next(steps))

    looked = fit(_network(), _ball, replace(PLAN, validation_steps=2), tmp_path / "a.pt", validate=validate)
    plain = fit(_network(), _ball, PLAN, tmp_path / "b.pt")
    assert not any(modes)
    assert _same(looked, plain)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_is_taken_and_left_again(tmp_path: Path) -> None:
    seen: list[str] = []

    def validate(network: nn.Module) -> float:
        seen.append(next(network.parameters()).device.type)
        return _accuracy(network)

    network = fit(_network(), _ball, replace(EVERYTHING, precision="float16"), tmp_path / "run.pt", validate=validate)
    assert set(seen) == {"cuda"}
    assert {tensor.device.type for tensor in own_tensors(network).values()} == {"cpu"}
    assert _same(network, fit(_network(), _cut_at(0), replace(EVERYTHING, precision="float16"), tmp_path / "run.pt"))
