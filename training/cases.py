"""Phantoms kept on disk between runs, and random patches drawn from them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int16, UInt8
from torch import Tensor

Case = tuple[Int16[np.ndarray, "slices rows columns"], UInt8[np.ndarray, "slices rows columns"]]
"""HU and labels."""
AIR_HU = -1024


@dataclass(frozen=True, slots=True)
class CaseStore:
    """Cases by number, made on first use and kept as NNNN.npz in a folder."""

    folder: Path
    make: Callable[[int], Case]

    def load(self, number: int) -> Case:
        path = self.folder / f"{number:05d}.npz"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            hu, labels = self.make(number)
            part = path.with_suffix(f".{os.getpid()}.part.npz")
            np.savez(part, hu=hu, labels=labels)
            part.replace(path)
        with np.load(path) as arrays:
            return arrays["hu"], arrays["labels"]


@dataclass(frozen=True, slots=True)
class PatchSampler:
    """Random CT patches with calibration error, clipped bone and missing coverage.

    Attributes:
        normalise: HU to network input, the same function that inference uses.
        missing_coverage: share of patches of which only a slab of slices holds image, the rest air (as inference pads it).
    """

    store: CaseStore
    numbers: range
    patch: tuple[int, int, int]
    normalise: Callable[[Tensor], Tensor]
    batch: int = 2
    missing_coverage: float = 0.15

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [batch, 1, slice, row, column] and labels [batch, slice, row, column]."""
        pairs = [self._draw(generator) for _ in range(self.batch)]
        images = torch.stack([image for image, _ in pairs])[:, None].contiguous(memory_format=torch.channels_last_3d)
        return images, torch.stack([labels for _, labels in pairs])

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        def uniform(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator))

        hu, labels = self.store.load(self.numbers[int(uniform(0, len(self.numbers) - 1e-3))])
        starts = [int(uniform(0, count - size + 1 - 1e-3)) for count, size in zip(hu.shape, self.patch, strict=True)]
        window = tuple(slice(start, start + size) for start, size in zip(starts, self.patch, strict=True))
        image, truth = torch.from_numpy(hu[window]).float(), torch.from_numpy(labels[window]).long()
        image = image * uniform(0.95, 1.05) + uniform(-30, 30)
        if uniform(0, 1) < 0.3:
            image = image.clamp(max=uniform(100, 600))
        if uniform(0, 1) < self.missing_coverage:
            held = int(uniform(0.25, 1.0) * self.patch[0])
            first = int(uniform(0, self.patch[0] - held + 1 - 1e-3))
            outside = torch.ones(self.patch[0], dtype=torch.bool)
            outside[first : first + held] = False
            image[outside], truth[outside] = AIR_HU, 0
        return self.normalise(image), truth
