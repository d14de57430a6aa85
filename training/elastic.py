"""Smooth random displacements of an image and its labels.

MONAI's transform smooths noise of the image's own size, which takes longer than a training step; a coarse lattice of
displacements, interpolated, looks the same and costs a hundredth.
"""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional

LATTICE_VOXELS = 16
"""Between the points that are displaced independently; the border itself stays where it is."""


def bend(
    image: Float32[Tensor, "channels *grid"], labels: Int64[Tensor, "*grid"], size_voxels: float, generator: torch.Generator
) -> tuple[Float32[Tensor, "channels *grid"], Int64[Tensor, "*grid"]]:
    """Image and labels with every point moved by up to `size_voxels` along each axis (standard deviation half of it)."""
    shape = labels.shape
    axes = len(shape)
    points = [max(2, extent // LATTICE_VOXELS) for extent in shape]
    lattice = torch.randn((1, axes, *points), generator=generator).clamp(-2, 2) * size_voxels / 2
    lattice = functional.pad(lattice, (1, 1) * axes)
    moved = functional.interpolate(lattice, shape, mode="trilinear" if axes == 3 else "bilinear", align_corners=True)[0]
    # grid_sample counts from -1 to 1 and names the last axis first.
    unit = [torch.linspace(-1, 1, extent) for extent in shape]
    grid = torch.stack(torch.meshgrid(*unit, indexing="ij"))
    grid = grid + moved * torch.tensor([2 / max(1, extent - 1) for extent in shape]).view(-1, *(1,) * axes)
    where = grid.flip(0).movedim(0, -1)[None]
    bent = functional.grid_sample(image[None], where, mode="bilinear", padding_mode="border", align_corners=True)[0]
    chosen = functional.grid_sample(
        labels[None, None].float(), where, mode="nearest", padding_mode="border", align_corners=True
    )
    return bent, chosen[0, 0].round().long()
