"""The network that bench.inference runs: the U-Net of MONAI's spleen bundle (4.8 M parameters), taught to find lungs.

The bundle's own weights cannot be shipped and a network with random weights draws masks that mean nothing; so it is trained
here, once and in a few minutes, on synthetic thorax phantoms, and kept. What it is worth as a lung segmenter does not matter.
"""

from pathlib import Path
from typing import Any

import torch
from monai.losses.dice import DiceCELoss
from torch import Tensor, nn
from torch.nn import functional

from engine.networks.build import build_network
from training.phantoms.thorax import thorax

SPACING_MM = (1.5, 1.5, 1.5)
CLIP_HU = (-1000.0, 400.0)
"""Becomes 0 to 1."""
NETWORK: dict[str, Any] = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [16, 32, 64, 128, 256],
    "strides": [2, 2, 2, 2],
    "num_res_units": 2,
    "norm": "batch",
}
PHANTOMS, STEPS, PATCH, BATCH = 24, 240, 64, 2


def trained_network(weights: Path) -> nn.Module:
    """The network with the weights of the file, which is made if it is missing."""
    network = build_network(NETWORK)
    if not weights.exists():
        print("training the benchmark's network, a few minutes, once", flush=True)
        _train(network)
        weights.parent.mkdir(parents=True, exist_ok=True)
        torch.save({name: _as_shipped(tensor) for name, tensor in network.state_dict().items()}, weights)
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network.eval()


def _as_shipped(tensor: Tensor) -> Tensor:
    """Rounded as a package's weights are, so that both pipelines have the same."""
    return tensor.half().float() if tensor.is_floating_point() and tensor.ndim > 1 else tensor


def _train(network: nn.Module) -> None:
    """Patches of 3 mm phantoms, brought to 1.5 mm; in RAS order, as bundles have it: [right, front, head]."""
    torch.manual_seed(0)
    cases = [thorax(seed) for seed in range(PHANTOMS)]
    pairs = [(torch.from_numpy(case.hu).float(), torch.from_numpy(case.labels > 0).float()) for case in cases]
    network.to(memory_format=torch.channels_last_3d).train()  # type: ignore[call-overload]
    loss_function = DiceCELoss(to_onehot_y=True, softmax=True)
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=STEPS)
    for step in range(STEPS):
        drawn = [_patch(*pairs[int(index)]) for index in torch.randint(len(pairs), (BATCH,))]
        images, masks = (torch.stack(part) for part in zip(*drawn, strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images.contiguous(memory_format=torch.channels_last_3d))
        loss = loss_function(logits.float(), masks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rates.step()
        if step % 20 == 19:
            print(f"step {step + 1}/{STEPS}, loss {float(loss.detach()):.3f}", flush=True)


def _patch(hu: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """A random cube with one channel in front: normalised image and mask."""
    half = PATCH // 2
    corner = [int(torch.randint(size - half + 1, ())) for size in hu.shape]
    cut = tuple(slice(start, start + half) for start in corner)
    low, high = CLIP_HU
    noisy = functional.interpolate(hu[cut][None, None], scale_factor=2, mode="trilinear")[0] + 20 * torch.randn(1, *[PATCH] * 3)
    image = ((noisy - low) / (high - low)).clamp(0, 1)
    larger = functional.interpolate(mask[cut][None, None], scale_factor=2, mode="trilinear")[0]
    return image.flip(2, 3).permute(0, 3, 2, 1), (larger > 0.5).float().flip(2, 3).permute(0, 3, 2, 1)
