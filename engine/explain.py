"""Where a network looked: Grad-CAM.

Source: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

_UPSAMPLING = {2: "bilinear", 3: "trilinear"}


def grad_cam(
    network: nn.Module, layer: nn.Module | str, image: Float[Tensor, "channels *grid"], class_index: int
) -> Float32[np.ndarray, "*grid"]:
    """How much each place of the image spoke for a class, 0 (nothing) to 1 (most); all 0 where nothing did.

    Args:
        network: a classifier in evaluation mode; [batch, channels, *grid] to logits [batch, classes].
        layer: the last one with a grid worth showing, itself or by its name in the network ("features.denseblock4").
        image: normalised; in two or three dimensions. Moved to the network's device.
        class_index: of the logit to explain.

    Raises:
        AttributeError: the network has no layer of that name.
        ValueError: the layer took no part in the output.
    """
    outputs: list[Tensor] = []
    module = network.get_submodule(layer) if isinstance(layer, str) else layer
    hook = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    device = next(network.parameters()).device
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            batch = image.detach().clone()[None].to(device, torch.float32).requires_grad_()
            score = network(batch)[0, class_index]
            gradient = torch.autograd.grad(score, outputs[-1], allow_unused=True)[0] if outputs else None
    finally:
        hook.remove()
    if gradient is None:
        raise ValueError("the layer takes no part in the network's output: name another")
    with torch.no_grad():
        weights = gradient.flatten(2).mean(2).view(*gradient.shape[:2], *[1] * (gradient.ndim - 2))
        coarse = (weights * outputs[-1]).sum(1, keepdim=True).clamp(min=0)
        heat = functional.interpolate(coarse, size=image.shape[1:], mode=_UPSAMPLING[image.ndim - 1], align_corners=False)
        return np.asarray((heat / heat.max().clamp(min=torch.finfo(heat.dtype).tiny))[0, 0].cpu().numpy())
