import torch
from torch import nn

from training.averaging import make_average


def test_the_mean_follows_the_weights_and_smooths_them() -> None:
    line, norm = nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1)
    network = nn.Sequential(line, norm)
    average = make_average(network, 0.9)
    for step in range(200):
        nn.init.constant_(line.weight, 5.0 + (-1) ** step)
        norm.load_state_dict(
            norm.state_dict() | {"running_mean": torch.tensor([7.0]), "num_batches_tracked": torch.tensor(step)}
        )
        average.update_parameters(network)
    mean = average.module.state_dict()
    assert abs(float(mean["0.weight"]) - 5) < 0.1
    assert float(mean["1.running_mean"]) == 7.0
    assert int(mean["1.num_batches_tracked"]) == 199


def test_the_random_beginning_is_forgotten_soon() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 100.0)
    average = make_average(network, 0.999)
    for _ in range(50):
        nn.init.constant_(network.weight, 1.0)
        average.update_parameters(network)
    assert float(average.module.state_dict()["weight"]) < 1.1
