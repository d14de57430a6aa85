"""Networks from their definition in a model package: a short list of classes, never a name to import at will."""

from collections.abc import Mapping
from typing import Any

from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.basic_unet import BasicUNet
from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus
from monai.networks.nets.densenet import DenseNet
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.efficientnet import EfficientNetBN
from monai.networks.nets.flexible_unet import FlexibleUNet
from monai.networks.nets.resnet import ResNet
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.senet import SENet, SEResNet50, SEResNext50
from monai.networks.nets.unet import UNet
from torch import nn

_CLASSES: tuple[type[nn.Module], ...] = (
    AttentionUnet,
    BasicUNet,
    BasicUNetPlusPlus,
    DenseNet,
    DynUNet,
    EfficientNetBN,
    FlexibleUNet,
    ResNet,
    SegResNet,
    SENet,
    SEResNet50,
    SEResNext50,
    UNet,
)
_ALLOWED = {f"monai.networks.nets.{network.__name__}": network for network in _CLASSES}
_DOWNLOADING = {"EfficientNetBN", "FlexibleUNet"}
"""Classes that fetch weights from the Internet unless told not to."""


def build_network(definition: Mapping[str, Any]) -> nn.Module:
    """The untrained network of a definition: `_target_` and its keyword arguments.

    Raises:
        ValueError: `_target_` is not one of the known networks, the arguments do not fit it, or they ask for a download.
    """
    target = definition.get("_target_")
    if target not in _ALLOWED:
        raise ValueError(f"network {target!r} is not known; use one of {', '.join(sorted(_ALLOWED))}")
    arguments = {key: value for key, value in definition.items() if key != "_target_"}
    if arguments.get("pretrained"):
        raise ValueError(f"network {target}: pretrained weights are not downloaded; the package brings its own")
    network = _ALLOWED[target]
    if network.__name__ in _DOWNLOADING:
        arguments["pretrained"] = False
    try:
        return network(**arguments)
    except TypeError as error:
        raise ValueError(f"network {target}: its arguments do not fit: {error}") from error
