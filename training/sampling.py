"""Random patches of labelled volumes, drawn so that what is rare is seen often enough."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional

from training.augmentation import Augment
from training.cases import Case

Load = Callable[[int], Case]
"""A case by its number."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Cases that batches are drawn from.

    Attributes:
        classes: of each number; given, every class is drawn equally often, however many cases it has.
    """

    load: Load
    numbers: Sequence[int]
    classes: Sequence[int] = ()

    def draw(self, generator: torch.Generator) -> Case:
        return self.load(self.number(generator))

    def number(self, generator: torch.Generator) -> int:
        numbers: Sequence[int] = self.numbers
        if self.classes:
            kinds = sorted(set(self.classes))
            kind = kinds[_below(len(kinds), generator)]
            numbers = [number for number, its in zip(self.numbers, self.classes, strict=True) if its == kind]
        return numbers[_below(len(numbers), generator)]


@dataclass(frozen=True, slots=True)
class Mixture:
    """Real cases and synthetic ones beside them.

    Attributes:
        synthetic_share: share of draws that are synthetic; 1 where there are no real cases, and it does not matter then.
    """

    synthetic: Pool
    real: Pool | None = None
    synthetic_share: float = 0.5

    def draw(self, generator: torch.Generator) -> Case:
        if self.real is None or _uniform(generator) < self.synthetic_share:
            return self.synthetic.draw(generator)
        return self.real.draw(generator)


def stacked(
    pairs: Iterable[tuple[Float32[Tensor, "channels *patch"], Int64[Tensor, "*patch"]]],
) -> tuple[Float32[Tensor, "batch channels *patch"], Int64[Tensor, "batch *patch"]]:
    """A batch of patches in the order of memory that three-dimensional convolutions want."""
    images, labels = zip(*pairs, strict=True)
    return torch.stack(images).contiguous(memory_format=torch.channels_last_3d), torch.stack(labels)


@dataclass(frozen=True, slots=True)
class PatchChoice:
    """Which patches make a batch.

    Attributes:
        size: slices, rows, columns.
        foreground_share: share of patches around a voxel of a foreground class, each class of the case equally often; the
            others lie anywhere.
    """

    size: tuple[int, int, int] = (96, 96, 96)
    batch: int = 2
    foreground_share: float = 0.33


@dataclass(frozen=True, slots=True)
class PatchBatches:
    """Draws batches of patches, normalised and augmented; a case smaller than a patch is padded with `outside`.

    Attributes:
        normalise: from the image's unit to the network's input, the same function that inference uses.
        outside: value beyond the image, in the image's unit.
    """

    cases: Pool | Mixture
    choice: PatchChoice
    normalise: Callable[[Tensor], Tensor]
    augment: Augment
    outside: float

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [batch, channel, slice, row, column] and labels [batch, slice, row, column]."""
        return stacked(self._one(generator) for _ in range(self.choice.batch))

    def _one(self, generator: torch.Generator) -> tuple[Float32[Tensor, "channels *patch"], Int64[Tensor, "*patch"]]:
        image, labels = self.cases.draw(generator)
        first = _corner(labels, self.choice, generator)
        values = cut(torch.from_numpy(image), first, self.choice.size, self.outside).float()
        truth = cut(torch.from_numpy(labels), first, self.choice.size, 0).long()
        values = values if values.ndim == 4 else values[None]
        return self.augment(self.normalise(values), truth, generator)


def _corner(labels: np.ndarray, choice: PatchChoice, generator: torch.Generator) -> tuple[int, ...]:
    """The first voxel of a patch, inside the image wherever the image is large enough."""
    room = [max(0, count - size) for count, size in zip(labels.shape, choice.size, strict=True)]
    if _uniform(generator) < choice.foreground_share:
        centre = foreground_voxel(labels, generator)
        if centre is not None:
            wanted = [place - size // 2 for place, size in zip(centre, choice.size, strict=True)]
            return tuple(min(max(0, first), free) for first, free in zip(wanted, room, strict=True))
    return tuple(_below(free + 1, generator) for free in room)


def foreground_voxel(labels: np.ndarray, generator: torch.Generator) -> tuple[int, ...] | None:
    """A random voxel of a random foreground class of the labels; None where there is none."""
    counts = np.bincount(labels.ravel())
    kinds = np.flatnonzero(counts[1:]) + 1
    if not len(kinds):
        return None
    places = np.flatnonzero(labels.ravel() == kinds[_below(len(kinds), generator)])
    index = np.unravel_index(places[_below(len(places), generator)], labels.shape)
    return tuple(int(place) for place in index)


def cut(values: Tensor, first: Sequence[int], size: Sequence[int], outside: float) -> Tensor:
    """The window of the last axes that begins at `first`; what lies beyond the values is `outside`."""
    counts = values.shape[-len(size) :]
    window: tuple[Any, ...] = tuple(
        slice(start, min(start + extent, count)) for start, extent, count in zip(first, size, counts, strict=True)
    )
    found = values[(..., *window)]
    missing = [extent - has for extent, has in zip(size, found.shape[-len(size) :], strict=True)]
    if not any(missing):
        return found
    padding = [amount for extent in reversed(missing) for amount in (0, extent)]
    return functional.pad(found, padding, value=outside)


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
