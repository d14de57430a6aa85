import pytest
import torch

from engine.networks.build import build_network
from engine.sliding_window import choose_device, predict
from tests.tiny_network import NETWORK, REACH


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(1)
    network = build_network(NETWORK)
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(2, 1, 32, 32, 32))
    return network.eval()


@pytest.mark.parametrize("limit", [60_000, 200_000])
def test_tiles_give_what_one_pass_gives(network: torch.nn.Module, limit: int) -> None:
    image = torch.randn(112, 90, 50, generator=torch.Generator().manual_seed(0))
    cpu = torch.device("cpu")
    whole = predict(network, image, outside=0.0, context=REACH, device=cpu)
    tiled = predict(network, image, outside=0.0, context=REACH, device=cpu, voxels_per_pass=limit)
    assert whole.logits.shape == (2, 112, 90, 50)
    assert whole.device.endswith("one pass")
    assert tiled.device.endswith("tiles")
    assert torch.allclose(whole.logits, tiled.logits, atol=0.02)


def test_the_padding_leaves_no_trace_in_the_shape(network: torch.nn.Module) -> None:
    found = predict(network, torch.zeros(17, 33, 5), outside=0.0, context=REACH, device=torch.device("cpu"))
    assert found.logits.shape == (2, 17, 33, 5)


def test_auto_takes_the_gpu_where_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu").type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_gpu_agrees_with_the_processor(network: torch.nn.Module) -> None:
    image = torch.randn(64, 64, 64, generator=torch.Generator().manual_seed(0))
    on_cpu, on_gpu = (
        predict(network, image, outside=0.0, context=REACH, device=torch.device(name)).logits for name in ("cpu", "cuda")
    )
    assert torch.allclose(on_cpu, on_gpu, atol=0.1)


def test_channels_go_into_the_network_together() -> None:
    torch.manual_seed(2)
    network = build_network({**NETWORK, "in_channels": 2}).eval()
    image = torch.randn(2, 40, 33, 20)
    found = predict(network, image, outside=0.0, context=REACH, device=torch.device("cpu"))
    swapped = predict(network, image.flip(0), outside=0.0, context=REACH, device=torch.device("cpu"))
    assert found.logits.shape == (2, 40, 33, 20)
    assert not torch.allclose(found.logits, swapped.logits, atol=0.02)
