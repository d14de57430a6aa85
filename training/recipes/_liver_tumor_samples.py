"""What the liver networks learn from: phantoms as labelled cases, and patches of the trunk with what scanners do to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.cases import Case
from training.errors import LabelError
from training.phantoms.abdomen import LESION, abdomen
from training.real_cases import RealForm
from training.sampling import stacked

AIR_HU = -1024
LIVER_LABEL, LESION_LABEL = 1, 2
"""In real cases."""
MARGIN_VOXELS = 6
SMALLEST = (64, 64, 80)
"""Of a real case, so that patches fit into it; the phantoms' own size."""
LESION_SHARE = 0.85
"""Of the phantoms that lesions are learnt from."""


def liver_case(number: int, spacing_mm: tuple[float, float, float], shape: tuple[int, int, int]) -> Case:
    """HU and where the liver is, lesions included."""
    phantom = abdomen(number, spacing_mm, shape)
    return phantom.hu, (phantom.labels > 0).astype(np.uint8)


def lesion_case(number: int, spacing_mm: tuple[float, float, float], shape: tuple[int, int, int]) -> Case:
    """HU above the liver's own attenuation, and where lesions are."""
    phantom = abdomen(number, spacing_mm, shape, close=True, lesion_share=LESION_SHARE)
    liver = phantom.hu[phantom.labels > 0]
    level = int(np.median(liver)) if len(liver) else 0
    relative = np.clip(phantom.hu.astype(np.int32) - level, -2048, 3071).astype(np.int16)
    return relative, (phantom.labels == LESION).astype(np.uint8)


def real_form(spacing_mm: tuple[float, float, float], prepare: Callable[[Case], Case]) -> RealForm:
    """Real cases with their liver and its lesions, whatever these are called."""
    names = ("background", "liver", "lesion")
    lesions = dict.fromkeys(("tumour", "tumor", "cancer", "metastasis"), LESION_LABEL)
    return RealForm(names, spacing_mm, "CT", float(AIR_HU), lesions, prepare)


def whole_liver(case: Case) -> Case:
    """A real case with lesions counted to the liver, as the first network sees it; padded where it is smaller than a patch."""
    image, labels = case
    beyond = [(0, max(0, size - count)) for size, count in zip(SMALLEST, labels.shape, strict=True)]
    return np.pad(image, beyond, constant_values=AIR_HU), np.pad((labels > 0).astype(np.uint8), beyond)


def lesions_alone(case: Case) -> Case:
    """A real case cut to the liver, above its own attenuation, as the second network sees it.

    Raises:
        LabelError: no voxel is labelled as liver or lesion.
    """
    image, labels = case
    places = np.argwhere(labels > 0)
    if not len(places):
        raise LabelError("a case has neither liver nor lesion: take it away, or label it")
    low, high = np.maximum(places.min(axis=0) - MARGIN_VOXELS, 0), places.max(axis=0) + MARGIN_VOXELS + 1
    box = tuple(slice(first, stop) for first, stop in zip(low, high, strict=True))
    healthy = image[labels == LIVER_LABEL]
    level = int(np.median(healthy if len(healthy) else image[labels > 0]))
    relative = np.clip(image[box].astype(np.int32) - level, -2048, 3071).astype(np.int16)
    return relative, (labels[box] == LESION_LABEL).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class TrunkPatches:
    """Random patches with calibration error, clipped bone and missing coverage.

    Attributes:
        normalise: HU to network input, the same function that inference uses.
        missing_coverage: share of patches of which only a slab of slices holds image, the rest air (as inference pads it).
    """

    load: Callable[[int], Case]
    numbers: Sequence[int]
    patch: tuple[int, int, int]
    normalise: Callable[[Tensor], Tensor]
    batch: int = 2
    missing_coverage: float = 0.15

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [batch, 1, slice, row, column] and labels [batch, slice, row, column]."""
        pairs = (self._draw(generator) for _ in range(self.batch))
        return stacked((image[None], labels) for image, labels in pairs)

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        def uniform(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator))

        hu, labels = self.load(self.numbers[int(uniform(0, len(self.numbers) - 1e-3))])
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
