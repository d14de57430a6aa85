from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.models import own_tensors
from engine.networks.build import build_network
from tests.tiny_network import IMAGE_NETWORK, METADATA, NETWORK
from training.errors import TrainingError
from training.export import write_package
from training.transfer import load_encoder, package_weights, starting_network, take_over

FLAT = {**NETWORK, "spatial_dims": 2}


def _package(folder: Path) -> nn.Module:
    torch.manual_seed(5)
    network = build_network(NETWORK)
    write_package(folder, network, METADATA, "# Tiny")
    return network


def test_the_seed_decides_the_random_weights() -> None:
    first, second, other = (own_tensors(starting_network(NETWORK, seed)) for seed in (1, 1, 2))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert not all(torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_training_begins_with_the_weights_of_a_package(tmp_path: Path) -> None:
    deployed = own_tensors(_package(tmp_path))
    started = own_tensors(starting_network(NETWORK, 0, tmp_path))
    for name, tensor in deployed.items():
        assert torch.allclose(tensor.float(), started[name].float(), atol=1e-3), name


def test_a_last_layer_of_other_classes_stays_random(tmp_path: Path) -> None:
    _package(tmp_path)
    wider = starting_network({**NETWORK, "out_channels": 5}, 0, tmp_path)
    fresh = own_tensors(starting_network({**NETWORK, "out_channels": 5}, 0))
    taken = {name for name, tensor in own_tensors(wider).items() if not torch.equal(tensor, fresh[name])}
    assert any(name.startswith("input_block") for name in taken)
    assert not any(name.startswith("output_block") for name in taken)


def test_a_package_of_another_network_is_refused(tmp_path: Path) -> None:
    _package(tmp_path)
    other = {"_target_": "monai.networks.nets.BasicUNet", "spatial_dims": 3, "features": [4, 4, 4, 4, 4, 4]}
    with pytest.raises(TrainingError, match="holds another network"):
        starting_network(other, 0, tmp_path)
    with pytest.raises(TrainingError, match="is no model package"):
        starting_network(NETWORK, 0, tmp_path / "models")


def test_a_damaged_package_is_refused(tmp_path: Path) -> None:
    _package(tmp_path)
    (tmp_path / "docs" / "README.md").write_text("changed")
    with pytest.raises(TrainingError, match="was changed"):
        package_weights(tmp_path)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_an_encoder_with_foreign_names_is_taken_over(tmp_path: Path, ending: str) -> None:
    torch.manual_seed(7)
    foreign = {f"backbone.{name}": tensor.detach().clone() for name, tensor in own_tensors(build_network(NETWORK)).items()}
    foreign = {name: tensor for name, tensor in foreign.items() if "input_block" in name}
    file = tmp_path / f"encoder.{ending}"
    if ending == "pt":
        torch.save({"state_dict": foreign, "epoch": 3}, file)
    else:
        save_file(foreign, file)
    network = starting_network(NETWORK, 0)
    taken = load_encoder(network, file, {"backbone.": ""})
    assert set(taken.taken) == {name.removeprefix("backbone.") for name in foreign}
    assert all(torch.equal(own_tensors(network)[name], foreign[f"backbone.{name}"]) for name in taken.taken)
    with pytest.raises(TrainingError, match="none of its"):
        load_encoder(network, file)


def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    (tmp_path / "encoder.pt").write_bytes(b"no tensors")
    with pytest.raises(TrainingError, match="cannot be read as a state dict"):
        load_encoder(build_network(NETWORK), tmp_path / "encoder.pt")


def test_a_flat_encoder_answers_in_three_dimensions_as_in_two() -> None:
    torch.manual_seed(3)
    flat, deep = nn.Conv2d(1, 4, 3, padding=1), nn.Conv3d(1, 4, 3, padding=1)
    assert len(take_over(deep, dict(flat.named_parameters())).taken) == 2
    image = torch.randn(1, 1, 9, 9)
    volume = image[:, :, None].expand(-1, -1, 5, -1, -1)
    with torch.inference_mode():
        assert torch.allclose(deep(volume)[:, :, 2], flat(image), atol=1e-5)
    weights = {name: tensor.detach() for name, tensor in build_network(FLAT).state_dict().items()}
    assert len(take_over(build_network(NETWORK), weights).taken) > 10


def test_kernels_for_three_colours_serve_one_channel() -> None:
    colour, grey = nn.Conv2d(3, 4, 3), nn.Conv2d(1, 4, 3)
    take_over(grey, dict(colour.named_parameters()))
    image = torch.randn(1, 1, 6, 6)
    with torch.inference_mode():
        assert torch.allclose(grey(image), colour(image.expand(-1, 3, -1, -1)), atol=1e-5)


def _coloured(colours: int = 3, classes: int = 1000) -> nn.Module:
    """As pretrained ones come: three colours, a thousand classes."""
    torch.manual_seed(1)
    return build_network({**IMAGE_NETWORK, "n_input_channels": colours, "num_classes": classes})


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_pretrained_encoder_is_taken_but_for_its_last_layer(tmp_path: Path, suffix: str) -> None:
    pretrained, network = _coloured(), build_network(IMAGE_NETWORK)
    file = tmp_path / f"encoder.{suffix}"
    state = {name: tensor.contiguous() for name, tensor in pretrained.state_dict().items()}
    torch.save(state, file) if suffix == "pt" else save_file(state, file)
    last = network.state_dict()["fc.weight"].clone()
    taken = load_encoder(network, file)
    found = network.state_dict()
    assert len(taken.taken) == len(found) - 2
    assert torch.equal(found["layer3.0.conv1.weight"], state["layer3.0.conv1.weight"])
    assert torch.allclose(found["conv1.weight"], state["conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(found["fc.weight"], last)


def test_a_grey_image_means_the_same_to_an_encoder_made_for_colours(tmp_path: Path) -> None:
    pretrained, network = _coloured(classes=2).eval(), build_network(IMAGE_NETWORK).eval()
    torch.save(pretrained.state_dict(), tmp_path / "encoder.pt")
    load_encoder(network, tmp_path / "encoder.pt")
    grey = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(network(grey), pretrained(grey.expand(1, 3, 64, 64)), atol=1e-4)


def test_the_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 3).state_dict(), tmp_path / "encoder.pt")
    with pytest.raises(TrainingError, match=r"encoder\.pt: none of its 2 tensors fits"):
        load_encoder(build_network(IMAGE_NETWORK), tmp_path / "encoder.pt")
