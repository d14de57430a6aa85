"""Batches and losses of the engine nodule-malignancy's two networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from training.cases import CaseStore
from training.sampling import stacked

FULL_WEIGHT_MM = 10.0
HIGHEST_WEIGHT = 4.0


def nodule_loss(logits: Float[Tensor, "batch 2 *grid"], diameters_mm: Int64[Tensor, "batch *grid"]) -> Tensor:
    """Cross entropy and soft Dice over the batch; voxels of small nodules weigh more.

    Args:
        logits: background and nodule.
        diameters_mm: 0 outside, within a nodule its diameter.
    """
    inside = diameters_mm > 0
    weights = torch.where(inside, (FULL_WEIGHT_MM / diameters_mm.clamp(min=1)) ** 2, 1.0).clamp(1.0, HIGHEST_WEIGHT)
    entropy = functional.cross_entropy(logits, inside.long(), reduction="none") * weights
    probability, truth = logits.softmax(1)[:, 1], inside.float()
    overlap = (2 * (weights * probability * truth).sum() + 1) / ((weights * (probability + truth)).sum() + 1)
    return 2 * entropy.mean() + 1 - overlap


@dataclass(frozen=True, slots=True)
class NodulePatchSampler:
    """Random windows of kept phantoms, turned and mirrored, most of them with a nodule inside.

    The phantoms' labels are the diameters of their nodules in mm.
    """

    store: CaseStore
    numbers: Sequence[int]
    patch: tuple[int, int, int]
    normalise: Callable[[Tensor], Tensor]
    batch: int = 4
    centred_share: float = 0.6

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [batch, 1, slice, row, column] and diameters [batch, slice, row, column]."""
        pairs = (self._draw(generator) for _ in range(self.batch))
        return stacked((image[None], labels) for image, labels in pairs)

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        def uniform(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator))

        hu, labels = self.store.load(self.numbers[int(uniform(0, len(self.numbers) - 1e-3))])
        starts = [int(uniform(0, count - size + 1 - 1e-3)) for count, size in zip(hu.shape, self.patch, strict=True)]
        places = torch.from_numpy(labels).nonzero()
        if len(places) and uniform(0, 1) < self.centred_share:
            place = places[int(uniform(0, len(places) - 1e-3))]
            starts = [
                min(max(0, int(index) - int(uniform(0.2, 0.8) * size)), count - size)
                for index, count, size in zip(place, hu.shape, self.patch, strict=True)
            ]
        window = tuple(slice(start, start + size) for start, size in zip(starts, self.patch, strict=True))
        image, truth = torch.from_numpy(hu[window]).float(), torch.from_numpy(labels[window]).long()
        flips = [axis for axis in range(3) if uniform(0, 1) < 0.5]
        image, truth = image.flip(flips), truth.flip(flips)
        if uniform(0, 1) < 0.5:
            image, truth = image.transpose(1, 2), truth.transpose(1, 2)
        return self.normalise(image * uniform(0.97, 1.03) + uniform(-25, 25)), truth
