"""What a network needs while it computes."""

import weakref
from typing import Any

import torch
from torch import Tensor, nn

PROBE = 32
"""Side of the cube that is tried: two voxels are left of it after four halvings."""
WORKSPACE = 1.3
"""For what the library's kernels take beside the layers' outputs."""


def activation_bytes_per_voxel(
    network: nn.Module, channels: int, device: torch.device, precision: torch.dtype = torch.float32
) -> float:
    """The most that the outputs of all layers take at one time, per voxel of the input; tried on a small cube.

    Args:
        network: in evaluation mode, on the device, in three dimensions.
        channels: of its input.
        device: where it is tried.
        precision: of automatic mixed precision; float32 for none.
    """
    alive: dict[int, int] = {}
    peak = 0

    def record(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal peak
        if isinstance(output, Tensor):
            alive[id(output)] = output.untyped_storage().nbytes()
            weakref.finalize(output, alive.pop, id(output), None)
            peak = max(peak, sum(alive.values()))

    hooks = [module.register_forward_hook(record) for module in network.modules()]
    cube = torch.zeros(1, channels, PROBE, PROBE, PROBE, device=device)
    try:
        with torch.inference_mode(), torch.autocast(device.type, precision, enabled=precision is not torch.float32):
            network(cube.contiguous(memory_format=torch.channels_last_3d))
    finally:
        for hook in hooks:
            hook.remove()
    return WORKSPACE * peak / PROBE**3 + cube.element_size() * channels
