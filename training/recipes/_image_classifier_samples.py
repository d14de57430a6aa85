"""Radiographs kept on disk, and batches drawn from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn import functional

from engine.framing import Framing
from engine.models import ImageIntensity
from training.cases import kept
from training.phantoms.projection import VARIANTS, radiograph


@dataclass(frozen=True)
class Radiographs:
    """Framed and normalised, as the network sees them.

    Attributes:
        labels: 1 where an opacity was painted.
        opacities: where.
    """

    images: Float32[Tensor, "cases 1 rows columns"]
    labels: Int64[Tensor, "cases"]
    opacities: Bool[Tensor, "cases rows columns"]


def load_radiographs(folder: Path, patients: Sequence[int], size: tuple[int, int], intensity: ImageIntensity) -> Radiographs:
    """All radiographs of the patients, made on first use and kept as NNNNN.npz in the folder."""
    images, labels, opacities = [], [], []
    for seed in (patient * VARIANTS + variant for patient in patients for variant in range(VARIANTS)):
        pixels, opacity, window = _kept(folder / f"{seed:06d}.npz", seed)
        framing = Framing((pixels.shape[0], pixels.shape[1]), size)
        values = intensity(torch.from_numpy(pixels), (float(window[0]), float(window[1])))
        images.append(framing.frame(values, -intensity.subtract / intensity.divide))
        opacities.append(framing.frame(torch.from_numpy(opacity).float(), 0.0) > 0.5)
        labels.append(int(opacity.any()))
    return Radiographs(torch.stack(images)[:, None], torch.tensor(labels), torch.stack(opacities))


def _kept(file: Path, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    def made() -> dict[str, np.ndarray]:
        found = radiograph(seed)
        return {"pixels": found.pixels, "opacity": found.opacity, "window": np.array(found.window)}

    arrays = kept(file, made)
    return arrays["pixels"], arrays["opacity"], arrays["window"]


@dataclass(frozen=True)
class Batches:
    """Random radiographs, moved, turned, scaled and made brighter or darker as departments do."""

    cases: Radiographs
    size: int

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [batch, 1, row, column] and labels [batch]."""
        chosen = torch.randint(len(self.cases.labels), (self.size,), generator=generator)

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(self.size, generator=generator)

        angle, scale = uniform(-0.12, 0.12), uniform(0.85, 1.15)
        turn = torch.stack([scale * angle.cos(), -scale * angle.sin(), uniform(-0.12, 0.12)], 1)
        lift = torch.stack([scale * angle.sin(), scale * angle.cos(), uniform(-0.12, 0.12)], 1)
        images = self.cases.images[chosen]
        where = functional.affine_grid(torch.stack([turn, lift], 1), list(images.shape), align_corners=False)
        moved = functional.grid_sample(images, where, padding_mode="border", align_corners=False)
        bent = moved * uniform(0.8, 1.25).view(-1, 1, 1, 1) + uniform(-0.3, 0.3).view(-1, 1, 1, 1)
        noise = torch.randn(bent.shape, generator=generator) * uniform(0, 0.15).view(-1, 1, 1, 1)
        return bent + noise, self.cases.labels[chosen]
