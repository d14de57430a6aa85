"""Begin with weights that exist: of a deployed package, or of somebody else's encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.models import METADATA_FILE, WEIGHTS_FILE, ModelPackageError, load_image_package, load_package, own_tensors
from engine.networks.build import build_network
from training.errors import TrainingError


def starting_network(definition: Mapping[str, Any], seed: int, start_from: Path | None = None) -> nn.Module:
    """The network to train: random weights of the seed, or those of a package of the same network.

    What the package lacks or has in another shape (the last layer, where the classes differ) stays random.

    Raises:
        TrainingError: the package is damaged, or of a network with hardly anything in common.
    """
    torch.manual_seed(seed)
    network = build_network(definition)
    if max(parameter.ndim for parameter in network.parameters()) == 5:
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    if start_from is not None:
        taken = take_over(network, package_weights(start_from))
        if len(taken.taken) < len(taken.missing):
            raise TrainingError(
                f"{start_from} holds another network: {len(taken.taken)} of its tensors fit; train without --from"
            )
    return network


def package_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a package, after its files are checked.

    Raises:
        TrainingError: it is none, or damaged.
    """
    failures = []
    for load in (load_package, load_image_package):
        try:
            load(folder)
        except ModelPackageError as error:
            failures.append(str(error))
        else:
            return {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS_FILE).items()}
    if not (folder / METADATA_FILE).exists():
        raise TrainingError(f"{folder} is no model package: {METADATA_FILE} is missing")
    raise TrainingError(failures[0])


@dataclass(frozen=True, slots=True)
class Taken:
    """The names of the tensors that were taken over, and of those that stayed random."""

    taken: tuple[str, ...]
    missing: tuple[str, ...]


def take_over(network: nn.Module, weights: Mapping[str, Tensor], renamed: Mapping[str, str] | None = None) -> Taken:
    """Copy every tensor whose name and shape fit.

    A kernel of a network in two dimensions is spread over the third, so that an image that is the same in every slice gives the
    same answer; kernels for three colours are summed up for one channel.

    Args:
        network: whose weights are replaced.
        weights: by name.
        renamed: beginning of a foreign name -> beginning of the network's own.

    Source: Carreira and Zisserman, CVPR 2017 (inflation).
    """
    own = own_tensors(network)
    given = {_own_name(name, renamed or {}): tensor for name, tensor in weights.items()}
    taken = []
    with torch.no_grad():
        for name, tensor in own.items():
            fitted = _fitted(given[name], tensor.shape) if name in given else None
            if fitted is not None:
                tensor.copy_(fitted)
                taken.append(name)
    return Taken(tuple(taken), tuple(name for name in own if name not in taken))


def load_encoder(network: nn.Module, file: Path, renamed: Mapping[str, str] | None = None) -> Taken:
    """Take over a pretrained encoder from a file of tensors: safetensors, or a state dict of torch (nothing is unpickled).

    Raises:
        TrainingError: the file cannot be read, or nothing in it fits.
    """
    read = load_file if file.suffix == ".safetensors" else partial(torch.load, map_location="cpu", weights_only=True)
    try:
        weights: Any = read(file)
    except Exception as error:  # torch raises what pickle, zip and its own reader raise
        raise TrainingError(f"{file} cannot be read as a state dict: {error}") from error
    weights = weights.get("state_dict", weights)
    taken = take_over(network, {name: tensor for name, tensor in weights.items() if isinstance(tensor, Tensor)}, renamed)
    if not taken.taken:
        raise TrainingError(f"{file}: none of its {len(weights)} tensors fits the network; give its names with `renamed`")
    return taken


def _own_name(name: str, renamed: Mapping[str, str]) -> str:
    for foreign, own in renamed.items():
        if name.startswith(foreign):
            return own + name.removeprefix(foreign)
    return name


def _fitted(tensor: Tensor, shape: torch.Size) -> Tensor | None:
    """The tensor in the wanted shape; None where it cannot be brought there."""
    if tensor.ndim == len(shape) - 1 == 4:
        depth = shape[2]
        tensor = tensor[:, :, None].expand(-1, -1, depth, -1, -1) / depth
    if tensor.ndim >= 4 and tensor.ndim == len(shape) and shape[1] == 1 and tensor.shape[1] == 3:
        tensor = tensor.sum(1, keepdim=True)
    return tensor if tensor.shape == shape else None
