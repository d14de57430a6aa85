"""What the classifier learns from: the detector's candidates on phantoms, with what they are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from engine.catalog._nodule_blobs import find_blobs
from engine.catalog._nodule_reading import CLASSIFYING_SIZE
from engine.catalog._nodule_risk import malignancy
from engine.catalog._nodule_shape import features_of
from training.cases import kept
from training.phantoms.nodules import NodulePhantom, nodule_patch
from training.phantoms.nodules_lesions import NoduleTruth

STEP_MM = 0.8
SHAPE = (80, 80, 80)
CANDIDATE_LEVEL = 0.2
SMALLEST_VOXELS = 20
SPICULATED = 0.3
MOST_OTHERS = 4
"""Of what is no nodule, per phantom."""
MOST_BLOBS = 4
"""Round densities that are no nodule, per phantom."""
WALL_HU = -350
"""Mean of the surroundings above which they are no lung."""
_NO_NODULE = (1.0, 0.0, 0.0)
_HALF = CLASSIFYING_SIZE // 2

Detect = Callable[[Float32[Tensor, "slices rows columns"]], Float32[np.ndarray, "slices rows columns"]]
"""HU to the detector's probability."""


@dataclass(frozen=True)
class Examples:
    """Patches around candidates.

    Attributes:
        hu, marked: [example, slice, row, column]: image, and the detector's probability times 255.
        targets: probabilities of no nodule, a benign and a malignant one.
        roughness, spiculated: of the nodules that the detector drew: 1 - sphericity, and whether spicules were painted.
    """

    hu: np.ndarray
    marked: np.ndarray
    targets: np.ndarray
    roughness: np.ndarray
    spiculated: np.ndarray


Make = Callable[[int], NodulePhantom]
"""A patch by its number."""


def synthetic(number: int) -> NodulePhantom:
    """The phantom of a number at the classifier's spacing."""
    return nodule_patch(number, STEP_MM, SHAPE)


def examples_of(numbers: Sequence[int], make: Make, detect: Detect, folder: Path) -> Examples:
    """The examples of patches, made once and kept in the folder."""

    def examples(number: int) -> dict[str, np.ndarray]:
        return kept(folder / f"{number:06d}.npz", lambda: _examples(make(number), detect))

    parts = [examples(number) for number in numbers]
    return Examples(*(np.concatenate([part[name] for part in parts]) for name in _NAMES))


_NAMES = ("hu", "marked", "targets", "roughness", "spiculated")


def _examples(phantom: NodulePhantom, detect: Detect) -> dict[str, np.ndarray]:
    probability = detect(torch.from_numpy(phantom.hu).float())
    parts, _ = ndimage.label(probability > CANDIDATE_LEVEL)
    hu, marked, targets, roughness, spiculated = [], [], [], [], []
    for centre, target, mask, truth in _candidates(phantom, parts):
        window = tuple(slice(index, index + CLASSIFYING_SIZE) for index in centre)
        hu.append(np.pad(phantom.hu, _HALF, mode="edge")[window])
        marked.append((np.pad(probability, _HALF)[window] * 255).astype(np.uint8))
        targets.append(target)
        if truth >= 0 and mask.any():
            roughness.append(1 - features_of(phantom.hu.astype(np.float32), mask, STEP_MM).sphericity)
            spiculated.append(phantom.truths[truth].spiculation > SPICULATED)
    cube = (CLASSIFYING_SIZE,) * 3
    return {
        "hu": np.array(hu, np.int16).reshape(-1, *cube),
        "marked": np.array(marked, np.uint8).reshape(-1, *cube),
        "targets": np.array(targets, np.float32).reshape(-1, 3),
        "roughness": np.array(roughness, np.float64),
        "spiculated": np.array(spiculated, bool),
    }


def _candidates(
    phantom: NodulePhantom, parts: np.ndarray
) -> list[tuple[tuple[int, ...], tuple[float, float, float], Bool[np.ndarray, "slices rows columns"], int]]:
    """Centre, target, mask and number of the nodule (-1 for none) of everything to learn from."""
    found = []
    for index, truth in enumerate(phantom.truths):
        whole = phantom.labels == index + 1
        if np.count_nonzero(whole) < SMALLEST_VOXELS:
            continue
        drawn = parts[whole]
        mask = parts == np.bincount(drawn[drawn > 0]).argmax() if (drawn > 0).any() else np.zeros_like(whole)
        risk = _risk(truth)
        place = mask if mask.any() else whole
        found.append((_centre(place), (0.0, 1 - risk, risk), mask, index))
    size = np.bincount(parts.ravel())
    touching = np.bincount(parts[phantom.labels > 0], minlength=len(size))
    free = np.flatnonzero((touching == 0) & (size >= SMALLEST_VOXELS))
    for number in sorted(free[free > 0], key=lambda part: -size[part])[:MOST_OTHERS]:
        region = parts == number
        found.append((_centre(region), _NO_NODULE, region, -1))
    nothing = np.zeros_like(phantom.labels, bool)
    return found + [(place, target, nothing, truth) for place, target, truth in _blobs(phantom)]


def _risk(truth: NoduleTruth) -> float:
    """As readers rated it, else by the published relation."""
    if truth.malignant is not None:
        return truth.malignant
    return malignancy(truth.diameter_mm, truth.kind, float(truth.spiculation > SPICULATED))


def _blobs(phantom: NodulePhantom) -> list[tuple[tuple[int, ...], tuple[float, float, float], int]]:
    """Round densities as inference finds them: place, target and index of the nodule, -1 for none."""
    hu = phantom.hu.astype(np.float32)
    inside = ndimage.uniform_filter(hu, 15) < WALL_HU
    near = ndimage.maximum_filter(phantom.labels, 3)
    found: list[tuple[tuple[int, ...], tuple[float, float, float], int]] = []
    others = 0
    for index, _ in find_blobs(hu, inside, STEP_MM):
        place = (int(index[0]), int(index[1]), int(index[2]))
        if near[place]:
            risk = _risk(phantom.truths[near[place] - 1])
            found.append((place, (0.0, 1 - risk, risk), int(near[place]) - 1))
        elif others < MOST_BLOBS:
            others += 1
            found.append((place, _NO_NODULE, -1))
    return found


def _centre(mask: Bool[np.ndarray, "slices rows columns"]) -> tuple[int, ...]:
    return tuple(round(value) for value in ndimage.center_of_mass(mask))


@dataclass(frozen=True, slots=True)
class ExampleBatches:
    """Random examples, mirrored, turned and shifted a little; half of them nodules."""

    examples: Examples
    normalise: Callable[[Tensor], Tensor]
    batch: int

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [batch, 2, slice, row, column] and targets [batch, 3]."""
        nodules = np.flatnonzero(self.examples.targets[:, 0] < 0.5)
        others = np.flatnonzero(self.examples.targets[:, 0] >= 0.5)
        drawn = [
            int(group[int(torch.randint(len(group), (), generator=generator))])
            for group in (nodules if turn % 2 else others for turn in range(self.batch))
        ]
        images = torch.stack([self._image(number, generator) for number in drawn])
        return images.contiguous(memory_format=torch.channels_last_3d), torch.from_numpy(self.examples.targets[drawn])

    def _image(self, number: int, generator: torch.Generator) -> Float[Tensor, "2 slices rows columns"]:
        noise = torch.rand(8, generator=generator).tolist()
        hu = torch.from_numpy(self.examples.hu[number]).float() * (0.97 + 0.06 * noise[0]) + 50 * (noise[1] - 0.5)
        image = torch.stack([self.normalise(hu), torch.from_numpy(self.examples.marked[number]).float() / 255])
        image = image.flip([axis + 1 for axis in range(3) if noise[2 + axis] < 0.5])
        if noise[5] < 0.5:
            image = image.transpose(2, 3)
        shift = [int(offset) for offset in torch.randint(-2, 3, (3,), generator=generator)]
        return torch.roll(image, shift, (1, 2, 3))


def class_loss(logits: Float[Tensor, "batch 3"], targets: Float[Tensor, "batch 3"]) -> Tensor:
    """Cross entropy against probabilities: the risk itself is learnt, not a toss of a coin by it."""
    return functional.cross_entropy(logits, targets)


def fit_spiculation(examples: Examples) -> tuple[float, float]:
    """Intercept and weight of roughness in the log-odds of spicules; no weight where all nodules are of one sort."""
    share = float(np.clip(examples.spiculated.mean(), 0.01, 0.99)) if len(examples.spiculated) else 0.01
    if len(np.unique(examples.spiculated)) < 2:
        return math.log(share / (1 - share)), 0.0
    model = LogisticRegression(C=1e3).fit(examples.roughness[:, None], examples.spiculated)
    return float(model.intercept_[0]), float(model.coef_[0, 0])
