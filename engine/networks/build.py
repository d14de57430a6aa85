"""Networks from their definition in a model package: a short list of classes, never a name to import at will."""

from collections.abc import Mapping
from typing import Any

from monai.networks.nets.basic_unet import BasicUNet
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.unet import UNet
from torch import nn

_ALLOWED: dict[str, type[nn.Module]] = {
    f"monai.networks.nets.{network.__name__}": network for network in (BasicUNet, DynUNet, SegResNet, UNet)
}


def build_network(definition: Mapping[str, Any]) -> nn.Module:
    """The untrained network of a definition: `_target_` and its keyword arguments.

    Raises:
        ValueError: `_target_` is not one of the known networks, or the arguments do not fit it.
    """
    target = definition.get("_target_")
    if target not in _ALLOWED:
        raise ValueError(f"network {target!r} is not known; use one of {', '.join(sorted(_ALLOWED))}")
    arguments = {key: value for key, value in definition.items() if key != "_target_"}
    try:
        return _ALLOWED[target](**arguments)
    except TypeError as error:
        raise ValueError(f"network {target}: its arguments do not fit: {error}") from error
