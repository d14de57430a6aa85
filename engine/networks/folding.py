"""Batch normalisation folded into the convolutions before it: the same numbers with fewer passes over memory."""

from collections import Counter
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

_PLAIN = (nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)


def fold_batch_norm(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy in which every batch normalisation that directly follows a convolution is folded into it.

    The network itself where a copy does not give the same numbers: what a convolution gives is then used elsewhere too.

    Args:
        network: in evaluation mode.
        example: an input that is followed through the network.
    """
    copy = deepcopy(network)
    pairs = _pairs(copy, example)
    for convolution, norm in pairs:
        _fold(convolution, norm)
    norms = {norm for _, norm in pairs}
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if child in norms:
                setattr(module, name, nn.Identity())
    with torch.inference_mode():
        expected, found = network(example), copy(example)
    return copy if torch.allclose(expected, found, rtol=1e-3, atol=1e-3 * float(expected.abs().max())) else network


def _pairs(network: nn.Module, example: Tensor) -> list[tuple[Any, Any]]:
    """Convolutions and the normalisations that directly follow them, each run just once."""
    outputs: dict[int, tuple[nn.Module, Tensor]] = {}
    pairs: list[tuple[Any, Any]] = []
    calls: Counter[nn.Module] = Counter()

    def follow(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls[module] += 1
        if isinstance(module, (*_PLAIN, *_TRANSPOSED)):
            outputs[id(output)] = module, output
        elif _is_fixed(module) and id(inputs[0]) in outputs:
            pairs.append((outputs[id(inputs[0])][0], module))

    hooks = [module.register_forward_hook(follow) for module in network.modules() if not list(module.children())]
    try:
        with torch.inference_mode():
            network(example)
    finally:
        for hook in hooks:
            hook.remove()
    return [(convolution, norm) for convolution, norm in pairs if calls[convolution] == calls[norm] == 1]


def _is_fixed(module: nn.Module) -> bool:
    """Whether it is a batch normalisation with statistics from training."""
    return isinstance(module, _BatchNorm) and module.running_mean is not None


def _fold(convolution: Any, norm: Any) -> None:
    weight, bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(convolution, _TRANSPOSED),
    )
    convolution.weight, convolution.bias = weight, bias
