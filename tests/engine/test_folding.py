from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from engine.networks.build import build_network
from engine.networks.folding import fold_batch_norm
from tests.tiny_network import NETWORK

RESIDUAL: dict[str, Any] = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [4, 8, 8],
    "strides": [2, 2],
    "num_res_units": 2,
    "norm": "batch",
}


@pytest.mark.parametrize("definition", [NETWORK, RESIDUAL], ids=["DynUNet", "UNet"])
def test_a_folded_network_gives_the_same_numbers(definition: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = build_network(definition)
    with torch.no_grad():
        for _ in range(5):
            network(torch.randn(2, 1, 32, 32, 32))
    image = torch.randn(1, 1, 48, 32, 32)
    with torch.inference_mode():
        before = network.eval()(image)
        folded = fold_batch_norm(network, torch.randn(1, 1, 32, 32, 32))
        after = folded(image)
    assert not any(isinstance(module, _BatchNorm) for module in folded.modules())
    assert any(isinstance(module, _BatchNorm) for module in network.modules())
    assert torch.allclose(before, after, atol=1e-4)


class _Branching(nn.Module):
    """What the convolution gives is used beside the normalisation too."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(1, 2, 3)
        self.norm = nn.BatchNorm3d(2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.convolution(image)
        return torch.as_tensor(self.norm(features) + features)


def test_a_convolution_whose_output_goes_two_ways_is_not_folded() -> None:
    network = _Branching().eval()
    network.norm.running_mean = torch.ones(2)
    assert fold_batch_norm(network, torch.randn(1, 1, 8, 8, 8)) is network
