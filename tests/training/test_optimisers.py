import pytest
import torch
from torch import nn

from training.optimisers import OptimiserChoice, make_optimiser


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_every_optimiser_goes_downhill(name: str) -> None:
    torch.manual_seed(0)
    network, goal = nn.Linear(3, 1), torch.ones(8, 1)
    inputs = torch.randn(8, 3)
    optimiser = make_optimiser(network, OptimiserChoice(name, rate=0.05))  # type: ignore[arg-type]
    losses = []
    for _ in range(40):
        loss = (network(inputs) - goal).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_an_encoder_learns_at_its_own_rate() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    optimiser = make_optimiser(network, OptimiserChoice(rate=1.0), network[0].parameters(), 0.1)
    rates = {id(parameter): group["lr"] for group in optimiser.param_groups for parameter in group["params"]}
    assert {rates[id(parameter)] for parameter in network[0].parameters()} == {0.1}
    assert {rates[id(parameter)] for parameter in network[1].parameters()} == {1.0}
    assert len(rates) == 4
