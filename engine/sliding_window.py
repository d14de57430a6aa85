"""Run a network over a whole volume: in one pass where it fits, else in seamless tiles; on the GPU or the processor.

For networks whose output at a voxel depends on a bounded neighbourhood (batch or no normalisation). Tiles carry a halo at least
as wide as that neighbourhood and lie on multiples of the network's stride, so they give what one pass gives. Instance
normalisation looks at the whole window and must not be tiled this way.
"""

import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 16
"""The volume is padded to a multiple of it: four halvings."""
CPU_VOXELS_PER_PASS = 8_000_000
"""About 2 GB of activations for a network with 16 channels at full resolution."""
MINIMUM_TILE = 32
_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


@dataclass(frozen=True)
class Prediction:
    """Logits and where they were computed, in words ("CPU, bf16, one pass")."""

    logits: Float32[Tensor, "classes slices rows columns"]
    device: str


def choose_device(wish: str) -> torch.device:
    """The device of a wish: "auto" takes CUDA where there is a GPU."""
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wish)


def predict(
    network: nn.Module,
    image: Float32[Tensor, "*channels slices rows columns"],
    *,
    outside: float,
    context: int,
    device: torch.device,
    voxels_per_pass: int | None = None,
) -> Prediction:
    """Logits of one volume.

    A GPU that runs out of memory gets ever smaller tiles, then the processor takes over; `Prediction.device` says so.

    Args:
        network: in evaluation mode; moved to the device.
        image: normalised; [slices, rows, columns], or with the channels of the network in front.
        outside: value beyond the volume (air).
        context: voxels from a voxel to the farthest one that decides its output.
        device: where to try first.
        voxels_per_pass: limit of one pass, halo included; None for what the device usually holds.
    """
    shape = image.shape[-3:]
    padding = [amount for size in reversed(shape) for amount in (0, -size % STRIDE)]
    batch = image.reshape(1, -1, *shape)
    padded = functional.pad(batch, padding, value=outside).contiguous(memory_format=torch.channels_last_3d)
    limit = voxels_per_pass or (math.prod(padded.shape[2:]) if device.type == "cuda" else CPU_VOXELS_PER_PASS)
    tile = _tile_shape(padded.shape[2:], context, limit)
    logits, words = _predict_or_shrink(network, padded, tile, context, device)
    return Prediction(logits[:, : shape[0], : shape[1], : shape[2]], words)


def _predict_or_shrink(
    network: nn.Module,
    padded: Float[Tensor, "1 channels slices rows columns"],
    tile: tuple[int, ...],
    context: int,
    device: torch.device,
) -> tuple[Float32[Tensor, "classes slices rows columns"], str]:
    while True:
        try:
            logits = _predict_tiles(network.to(device), padded, tile, context, device)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            if max(tile) <= MINIMUM_TILE:
                device = torch.device("cpu")
                tile = _tile_shape(padded.shape[2:], context, CPU_VOXELS_PER_PASS)
            else:
                tile = tuple(max(MINIMUM_TILE, _rounded(size // 2)) for size in tile)
        else:
            return logits, _describe(device, tile, padded.shape[2:])


def _predict_tiles(
    network: nn.Module,
    padded: Float[Tensor, "1 channels slices rows columns"],
    tile: tuple[int, ...],
    context: int,
    device: torch.device,
) -> Float32[Tensor, "classes slices rows columns"]:
    halo = _rounded(context)
    shape = padded.shape[2:]
    result: Tensor | None = None
    starts = [range(0, size, step) for size, step in zip(shape, tile, strict=True)]
    for corner in product(*starts):
        inner = [(start, min(start + size, count)) for start, size, count in zip(corner, tile, shape, strict=True)]
        outer = [(max(0, start - halo), min(count, stop + halo)) for (start, stop), count in zip(inner, shape, strict=True)]
        window = padded[(slice(None), slice(None), *(slice(*ends) for ends in outer))]
        output = _forward(network, window, device)
        if result is None:
            result = torch.empty((output.shape[0], *shape))
        cut = tuple(slice(a - b, c - b) for (a, c), (b, _) in zip(inner, outer, strict=True))
        result[(slice(None), *(slice(*ends) for ends in inner))] = output[(slice(None), *cut)]
    if result is None:
        raise ValueError("the volume has no voxels")
    return result


def _forward(
    network: nn.Module, window: Float[Tensor, "1 channels slices rows columns"], device: torch.device
) -> Float32[Tensor, "classes slices rows columns"]:
    moved = window.to(device).contiguous(memory_format=torch.channels_last_3d)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=_multiplies_bf16(device)):
        return network(moved)[0].float().cpu()  # type: ignore[no-any-return]


def _tile_shape(shape: tuple[int, ...], context: int, limit: int) -> tuple[int, ...]:
    """The largest tile, halving the longest side, whose pass with halo stays within the limit; the whole volume if it does."""
    tile = [int(size) for size in shape]
    halo = _rounded(context)

    def voxels() -> int:
        total = 1
        for size, count in zip(tile, shape, strict=True):
            total *= min(count, size + 2 * halo)
        return total

    while voxels() > limit and max(tile) > MINIMUM_TILE:
        longest = tile.index(max(tile))
        tile[longest] = max(MINIMUM_TILE, _rounded(tile[longest] // 2))
    return tuple(tile)


def _rounded(size: int) -> int:
    """Up to a multiple of the stride."""
    return -(-size // STRIDE) * STRIDE


def _multiplies_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than float32: on GPUs that support it, on processors with AMX, avx512_bf16 or Arm bf16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and not _CPU_FLAGS.isdisjoint(cpuinfo.read_text(encoding="utf-8").split())


def _describe(device: torch.device, tile: tuple[int, ...], shape: tuple[int, ...]) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    precision = "bf16" if _multiplies_bf16(device) else "float32"
    way = "one pass" if all(size >= count for size, count in zip(tile, shape, strict=True)) else "tiles"
    return f"{name}, {precision}, {way}"
