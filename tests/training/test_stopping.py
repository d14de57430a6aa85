import torch
from torch import nn

from training.stopping import BestWeights


def _valued(value: float) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def test_the_best_weights_come_back() -> None:
    best = BestWeights(patience=0)
    for step, score in enumerate((0.1, 0.9, 0.3)):
        best.look(score, step, _valued(score))
    network = _valued(0)
    best.restore(network)
    assert torch.equal(network.weight.detach(), torch.tensor([[0.9]]))
    assert (best.score, best.step) == (0.9, 1)
    assert not best.exhausted


def test_training_ends_when_the_score_has_stood_still_long_enough() -> None:
    best = BestWeights(patience=2)
    seen = []
    for step, score in enumerate((0.5, 0.4, 0.6, 0.6, float("nan"))):
        best.look(score, step, _valued(score))
        seen.append(best.exhausted)
    assert seen == [False, False, False, False, True]


def test_a_resumed_count_goes_on() -> None:
    first, second = BestWeights(patience=2), BestWeights(patience=2)
    first.look(0.5, 1, _valued(0.5))
    first.look(0.4, 2, _valued(0.4))
    second.load_state_dict(first.state_dict())
    second.look(0.4, 3, _valued(0.4))
    assert second.exhausted
