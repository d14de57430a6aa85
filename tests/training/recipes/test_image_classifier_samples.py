from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.networks.build import build_network
from tests.tiny_network import IMAGE_NETWORK
from training.errors import TrainingError
from training.recipes._image_classifier_samples import Batches, Radiographs, load_encoder


def _encoder(colours: int = 3, classes: int = 1000) -> nn.Module:
    """As pretrained ones come: three colours, a thousand classes."""
    torch.manual_seed(1)
    return build_network({**IMAGE_NETWORK, "n_input_channels": colours, "num_classes": classes})


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_pretrained_encoder_is_taken_but_for_its_last_layer(tmp_path: Path, suffix: str) -> None:
    pretrained, network = _encoder(), build_network(IMAGE_NETWORK)
    file = tmp_path / f"encoder.{suffix}"
    state = {name: tensor.contiguous() for name, tensor in pretrained.state_dict().items()}
    torch.save(state, file) if suffix == "pt" else save_file(state, file)
    last = network.state_dict()["fc.weight"].clone()
    taken = load_encoder(network, file)
    found = network.state_dict()
    assert taken == len(found) - 2
    assert torch.equal(found["layer3.0.conv1.weight"], state["layer3.0.conv1.weight"])
    assert torch.allclose(found["conv1.weight"], state["conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(found["fc.weight"], last)


def test_a_grey_image_means_the_same_to_an_encoder_made_for_colours(tmp_path: Path) -> None:
    pretrained, network = _encoder(classes=2).eval(), build_network(IMAGE_NETWORK).eval()
    torch.save(pretrained.state_dict(), tmp_path / "encoder.pt")
    load_encoder(network, tmp_path / "encoder.pt")
    grey = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(network(grey), pretrained(grey.expand(1, 3, 64, 64)), atol=1e-4)


def test_the_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 3).state_dict(), tmp_path / "encoder.pt")
    with pytest.raises(TrainingError, match=r"encoder\.pt fits 0 of the network's .* tensors: it is another network's"):
        load_encoder(build_network(IMAGE_NETWORK), tmp_path / "encoder.pt")


def test_batches_follow_their_generator() -> None:
    cases = Radiographs(torch.rand(6, 1, 32, 32), torch.tensor([0, 1] * 3), torch.zeros(6, 32, 32, dtype=torch.bool))
    batches = Batches(cases, 4)
    first, again, other = (batches(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first[0].shape == (4, 1, 32, 32)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
