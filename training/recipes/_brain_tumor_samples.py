"""Random windows of heads, synthetic and real, as the engine brain-tumor will see heads."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.catalog._brain_intensity import brain_level
from engine.models import Intensity
from training.cases import Case
from training.phantoms.head import BRAIN, TUMOUR, head
from training.sampling import Mixture, stacked


def make_case(seed: int) -> Case:
    """FLAIR and contrast T1 [2, slice, row, column], and labels."""
    phantom = head(seed)
    return np.stack([phantom.flair, phantom.contrast_t1]), phantom.labels


@dataclass(frozen=True, slots=True)
class HeadSampler:
    """Batches of windows, scaled as in the engine, mirrored at random, half of them without the contrast T1.

    Attributes:
        cases: FLAIR alone, or FLAIR and contrast T1, each brighter than 0 in the head. Real cases without a label for the brain
            must be stripped of the skull: what is not 0 is brain.
        window: slices, rows, columns.
        normalise: from shares of the brain's value to the input of the network.
        without_t1: share of windows without the contrast T1; its enhancing part is then tumour like the rest.
    """

    cases: Mixture
    window: tuple[int, int, int]
    normalise: Intensity
    batch: int = 2
    without_t1: float = 0.5

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [batch, 2, slice, row, column] and labels [batch, slice, row, column]."""
        return stacked(self._draw(generator) for _ in range(self.batch))

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        def uniform(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator))

        images, labels = _whole(*self.cases.draw(generator), self.window)
        places = [(uniform(0, 1) + uniform(0, 1)) / 2 for _ in labels.shape]  # the brain lies in the middle
        starts = [round(place * (count - size)) for place, count, size in zip(places, labels.shape, self.window, strict=True)]
        part = tuple(slice(start, start + size) for start, size in zip(starts, self.window, strict=True))
        stretch = [math.exp(uniform(-0.35, 0.35)) if uniform(0, 1) < 0.4 else 1.0 for _ in range(2)]
        bends = [uniform(0.8, 1.25) for _ in range(2)]
        drawn = [_relative(image, part, bend, factor) for image, bend, factor in zip(images, bends, stretch, strict=False)]
        channels, truth = self.normalise(torch.stack([*drawn, drawn[0]][:2])), torch.from_numpy(labels[part]).long()
        if uniform(0, 1) < 0.2:
            channels[1] = torch.roll(channels[1], [int(uniform(0, 3)) - 1 for _ in range(3)], (0, 1, 2))
        if uniform(0, 1) < self.without_t1 or len(images) == 1:
            channels[1] = 0
            truth = truth.clamp(max=TUMOUR)
        if uniform(0, 1) < 0.5:
            channels, truth = channels.flip(-1), truth.flip(-1)
        return channels, truth


def _whole(images: np.ndarray, labels: np.ndarray, window: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A case with its channels in front, no smaller than the window, and the brain labelled."""
    images = images if images.ndim == 4 else images[None]
    if not (labels == BRAIN).any():
        labels = np.where((labels == 0) & (images[0] > 0), BRAIN, labels).astype(labels.dtype)
    beyond = [(0, max(0, size - count)) for size, count in zip(window, labels.shape, strict=True)]
    return np.pad(images, [(0, 0), *beyond]), np.pad(labels, beyond)


def _relative(image: np.ndarray, part: tuple[slice, ...], exponent: float, stretch: float) -> Tensor:
    """A window in shares of the brain's value, with another scaling curve and contrast, as post-processing makes them."""
    whole = torch.from_numpy(image).float().clamp(min=0)
    shares = (whole[part] / (brain_level(whole) or 1.0)) ** exponent
    return torch.where(shares > 0, (1 + (shares - 1) * stretch).clamp(min=0), 0.0)
