"""Run a network over a whole volume: in one pass where it fits, else in pieces; on the GPU or the processor.

Networks whose output at a voxel depends on a bounded neighbourhood (batch or no normalisation) are run by `predict`: in one
pass, or in tiles that carry a halo at least as wide as that neighbourhood and lie on multiples of the network's stride, so that
they give what one pass gives. Instance and group normalisation look at all that a pass sees: such networks are run by
`predict_windows`, in overlapping windows of the size that they were trained with, weighted by a Gaussian.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from jaxtyping import Float, Float32
from monai.inferers.utils import sliding_window_inference
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.instancenorm import _InstanceNorm

STRIDE = 16
"""The volume is padded to a multiple of it: four halvings."""
CPU_VOXELS_PER_PASS = 8_000_000
"""About 2 GB of activations for a network with 16 channels at full resolution."""
MINIMUM_TILE = 32
_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
_GLOBAL_LAYERS = (_InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d)

Reduce = Callable[[Float32[Tensor, "classes *grid"]], Float32[Tensor, "fewer *grid"]]
"""What is kept of the logits, voxel by voxel."""


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


def choose_precision(device: torch.device) -> torch.dtype:
    """The number format that the device multiplies fastest without loss that matters: bf16, fp16 or float32."""
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return torch.bfloat16 if major >= 8 else torch.float16 if major >= 7 else torch.float32
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8").split() if cpuinfo.exists() else []
    return torch.float32 if _CPU_FLAGS.isdisjoint(flags) else torch.bfloat16


def needs_windows(network: nn.Module) -> bool:
    """Whether a layer looks at all that a pass sees, so that one pass or tiles give another answer than the training did."""
    return any(isinstance(module, _GLOBAL_LAYERS) for module in network.modules())


def predict(
    network: nn.Module,
    image: Float32[Tensor, "*channels slices rows columns"],
    *,
    outside: float,
    context: int,
    device: torch.device,
    voxels_per_pass: int | None = None,
    reduce: Reduce | None = None,
    keep: torch.device | None = None,
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
        reduce: what to keep of the logits; None for all.
        keep: where the logits are gathered; None for the processor's memory.
    """
    shape = image.shape[-3:]
    padding = [amount for size in reversed(shape) for amount in (0, -size % STRIDE)]
    batch = image.reshape(1, -1, *shape)
    padded = functional.pad(batch, padding, value=outside).contiguous(memory_format=torch.channels_last_3d)
    limit = voxels_per_pass or (math.prod(padded.shape[2:]) if device.type == "cuda" else CPU_VOXELS_PER_PASS)
    tile = _tile_shape(padded.shape[2:], context, limit)
    forward = _Forward(network, device, reduce or _everything)
    logits, words = _predict_or_shrink(forward, padded, tile, context, keep or torch.device("cpu"))
    return Prediction(logits[:, : shape[0], : shape[1], : shape[2]], words)


def predict_windows(
    network: nn.Module,
    image: Float32[Tensor, "*channels slices rows columns"],
    *,
    outside: float,
    window: tuple[int, int, int],
    device: torch.device,
    overlap: float = 0.5,
    reduce: Reduce | None = None,
) -> Prediction:
    """As predict, for a network that must see windows of one size: they overlap, their middle counts most.

    A GPU that runs out of memory is followed by the processor: a smaller window would be another network.
    """
    batch = image.reshape(1, -1, *image.shape[-3:])
    places = [device] if device.type == "cpu" else [device, torch.device("cpu")]
    for place in places:
        forward = _Forward(network, place, _everything)
        try:
            with torch.inference_mode():
                logits = sliding_window_inference(
                    batch, window, 1, forward, overlap, mode="gaussian", cval=outside, sw_device=place, device="cpu"
                )
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            if place.type == "cpu":
                raise
        else:
            kept = (reduce or _everything)(torch.as_tensor(logits)[0])
            return Prediction(kept, f"{describe(place)}, windows{_fallback(place, device)}")
    raise AssertionError("the processor returns or raises")


@dataclass(frozen=True)
class _Forward:
    """One pass of the network on its device, in the device's precision."""

    network: nn.Module
    device: torch.device
    reduce: Reduce

    def __call__(self, window: Float[Tensor, "batch channels *grid"]) -> Float32[Tensor, "batch classes *grid"]:
        self.network.to(self.device)
        moved = window.to(self.device).contiguous(memory_format=torch.channels_last_3d)
        precision = choose_precision(self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, precision, enabled=precision is not torch.float32):
            return self.network(moved).float()  # type: ignore[no-any-return]


def _everything(logits: Float32[Tensor, "classes *grid"]) -> Float32[Tensor, "classes *grid"]:
    return logits


def _predict_or_shrink(
    forward: _Forward,
    padded: Float[Tensor, "1 channels slices rows columns"],
    tile: tuple[int, ...],
    context: int,
    keep: torch.device,
) -> tuple[Float32[Tensor, "classes slices rows columns"], str]:
    wished = forward.device
    while True:
        try:
            logits = _predict_tiles(forward, padded, tile, context, keep)
        except torch.cuda.OutOfMemoryError:
            if forward.device.type == "cpu":
                raise
            torch.cuda.empty_cache()
            if max(tile) <= MINIMUM_TILE:
                keep = torch.device("cpu")
                forward = _Forward(forward.network, keep, forward.reduce)
                tile = _tile_shape(padded.shape[2:], context, CPU_VOXELS_PER_PASS)
            else:
                tile = tuple(max(MINIMUM_TILE, _rounded(size // 2)) for size in tile)
        else:
            whole = all(size >= count for size, count in zip(tile, padded.shape[2:], strict=True))
            way = "one pass" if whole else "tiles"
            return logits, f"{describe(forward.device)}, {way}{_fallback(forward.device, wished)}"


def _predict_tiles(
    forward: _Forward,
    padded: Float[Tensor, "1 channels slices rows columns"],
    tile: tuple[int, ...],
    context: int,
    keep: torch.device,
) -> Float32[Tensor, "classes slices rows columns"]:
    halo = _rounded(context)
    shape = padded.shape[2:]
    result: Tensor | None = None
    starts = [range(0, size, step) for size, step in zip(shape, tile, strict=True)]
    for corner in product(*starts):
        inner = [(start, min(start + size, count)) for start, size, count in zip(corner, tile, shape, strict=True)]
        outer = [(max(0, start - halo), min(count, stop + halo)) for (start, stop), count in zip(inner, shape, strict=True)]
        window = padded[(slice(None), slice(None), *(slice(*ends) for ends in outer))]
        cut = tuple(slice(a - b, c - b) for (a, c), (b, _) in zip(inner, outer, strict=True))
        output = forward.reduce(forward(window)[0][(slice(None), *cut)])
        if result is None:
            result = torch.empty((output.shape[0], *shape), device=keep)
        result[(slice(None), *(slice(*ends) for ends in inner))] = output
    if result is None:
        raise ValueError("the volume has no voxels")
    return result


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


def describe(device: torch.device) -> str:
    """The device and its number format in words ("CPU, bf16")."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    precision = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(choose_precision(device), "float32")
    return f"{name}, {precision}"


def _fallback(used: torch.device, wished: torch.device) -> str:
    return "" if used.type == wished.type else ", after the GPU ran out of memory"
