"""What the networks say of one candidate: its mask, whether it is a nodule, how malignant it looks."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy import ndimage
from torch import Tensor, nn

from engine.api import Context
from engine.catalog._nodule_candidates import Candidate
from engine.catalog._nodule_patches import AIR_HU, mask_on_source, patch_grid, patch_of
from engine.catalog._nodule_shape import Features, features_of
from engine.explain import grad_cam
from engine.models import Metadata, ModelPackage, load_package
from engine.resampling import CanonicalGrid
from engine.volume import Volume
from engine.warm_network import WarmNetwork

SEGMENTING_SIZE = 64
STEPS_MM = (0.8, 1.3)
COARSE_FROM_MM = 20.0
"""Candidates larger than this are drawn on the coarser step."""
MASK_SHARE = 0.5
"""Of the detector's highest probability near the middle, where its nodule ends."""
CONTACT = (0.4, 0.65)
"""Share of lung around a mask from which it begins to count as lying in lung, and from which it does so wholly."""
CONTACT_VOXELS = (1, 3)
"""Distance from the mask of what lies around it."""
IN_LUNG_HU = -500
CLASSIFYING_SIZE = 48
FEWEST_VOXELS, THREADED_VOXELS = 20, 60
FILL = 0.45
"""Share of a ball that a nodule of 77 % of its radius fills."""
EDGE_SHARE = 0.42
"""Of the way from lung to peak, where a nodule's edge is drawn; readers draw it a little wider than halfway."""
SHELL = 6.0
LARGEST_RADIUS_MM = 20.0
LUNG_HU, TYPICAL_LUNG_HU = -600, -860
DETECTOR, CLASSIFIER = "detector", "classifier"
NOT_A_NODULE, BENIGN, MALIGNANT = 0, 1, 2
EXPLAINED_LAYER = "layer3"

Patch = Float32[np.ndarray, "slices rows columns"]


@dataclass(frozen=True)
class Networks:
    """The two networks; the classifier looks at single patches and needs no tiles."""

    detector: WarmNetwork
    classifier: nn.Module
    classifier_package: ModelPackage

    @classmethod
    def open(cls, folder: Path, context: Context) -> "Networks":
        """Those of a folder with the packages `detector` and `classifier`.

        Raises:
            engine.models.ModelPackageError: a package is damaged or changed.
        """
        detector, package = WarmNetwork.open(folder / DETECTOR, context), load_package(folder / CLASSIFIER)
        return cls(detector, package.network(detector.device), package)

    @property
    def classifying(self) -> Metadata:
        return self.classifier_package.metadata


@dataclass(frozen=True)
class Reading:
    """One candidate looked at closely.

    Attributes:
        candidate: as found; its centre moved to that of the mask.
        grid: of the patch that the mask was drawn on.
        level: above zero within the nodule, on that grid.
        features: measured on that patch.
        nodule: probability that it is one, by the classifier.
        support: the detector's highest probability within the mask.
        contact: share of what lies around the mask that is lung.
        malignant: probability that it is malignant, given that it is a nodule.
        image: what the classifier saw, and where.
        classified_grid: of `image`.
    """

    candidate: Candidate
    grid: CanonicalGrid
    level: Patch
    features: Features
    nodule: float
    support: float
    contact: float
    malignant: float
    image: Float32[Tensor, "channels slices rows columns"]
    classified_grid: CanonicalGrid

    @property
    def credibility(self) -> float:
        """Of being a nodule: what detector and classifier say, and whether lung surrounds it as it does not surround a wall."""
        in_lung = float(np.clip((self.contact - CONTACT[0]) / (CONTACT[1] - CONTACT[0]), 0.0, 1.0))
        return math.sqrt(self.nodule) * self.support * in_lung


def read_candidate(networks: Networks, volume: Volume, candidate: Candidate) -> Reading | None:
    """Draw and classify a candidate; None where nothing stays of it on the finer patch.

    The density itself is followed down to the lung around; what has no end that way (on a wall) is drawn by the detector.
    """
    step = STEPS_MM[int(candidate.diameter_mm > COARSE_FROM_MM)]
    grid = patch_grid(candidate.centre_mm, step, SEGMENTING_SIZE)
    hu = patch_of(volume, grid)
    mask, level = grown(hu.numpy(), candidate.diameter_mm / step, LARGEST_RADIUS_MM / step)
    probability = nodule_probability(networks, hu)
    if np.count_nonzero(mask) < FEWEST_VOXELS:
        mask, level = _marked(probability, reach=max(3, round(candidate.diameter_mm / 2 / step)))
    if np.count_nonzero(mask) < FEWEST_VOXELS:
        return None
    index = np.array(ndimage.center_of_mass(mask))
    centre = np.array(grid.origin_mm) + index[::-1] * step
    classified_grid = patch_grid(centre, networks.classifying.spacing_mm[0], CLASSIFYING_SIZE)
    image = classifier_input(networks, patch_of(volume, classified_grid))
    odds = classify(networks, image)
    near = ndimage.binary_dilation(mask, iterations=1)
    level = np.where(near, np.where(mask, np.maximum(level, 1e-3), np.minimum(level, -1e-3)), -1.0).astype(np.float32)
    return Reading(
        candidate=Candidate(centre, candidate.diameter_mm),
        grid=grid,
        level=level,
        features=features_of(hu.numpy(), mask, step),
        nodule=1 - odds[NOT_A_NODULE],
        support=float(probability[mask].max()),
        contact=_contact(hu.numpy(), mask),
        malignant=odds[MALIGNANT] / max(odds[BENIGN] + odds[MALIGNANT], 1e-6),
        image=image,
        classified_grid=classified_grid,
    )


def _marked(probability: Patch, reach: int) -> tuple[Bool[np.ndarray, "slices rows columns"], Patch]:
    """What the detector marks at the middle of a patch, however faintly; mask and level."""
    middle = tuple(slice(size // 2 - reach, size // 2 + reach + 1) for size in probability.shape)
    level = probability - MASK_SHARE * float(probability[middle].max())
    return central_part(level > 0, reach), level


def _contact(hu: Patch, mask: Bool[np.ndarray, "slices rows columns"]) -> float:
    """Share of lung in the shell around a mask; beyond the series (air in the patch) nothing is known."""
    near, far = CONTACT_VOXELS
    shell = ndimage.binary_dilation(mask, iterations=far) & ~ndimage.binary_dilation(mask, iterations=near) & (hu > AIR_HU)
    return float((hu[shell] < IN_LUNG_HU).mean()) if shell.any() else 0.0


def nodule_probability(networks: Networks, hu: Float32[Tensor, "slices rows columns"]) -> Patch:
    """The detector's probability on a patch."""
    return np.asarray(networks.detector.of_values(hu, AIR_HU).softmax(0)[1].numpy())


def classifier_input(
    networks: Networks, hu: Float32[Tensor, "slices rows columns"]
) -> Float32[Tensor, "channels slices rows columns"]:
    """The classifier sees the image and what the detector marks on it."""
    marked = torch.from_numpy(nodule_probability(networks, hu))
    return torch.stack([networks.classifying.intensity(hu), marked])


def classify(networks: Networks, image: Float32[Tensor, "channels slices rows columns"]) -> list[float]:
    """Probabilities of no nodule, a benign and a malignant one; the mean over mirror images."""
    views = torch.stack([image, image.flip(1), image.flip(2), image.flip(3)]).to(networks.detector.device)
    with torch.inference_mode():
        probabilities: list[float] = networks.classifier(views).float().softmax(1).mean(0).cpu().tolist()
    return probabilities


def explain(networks: Networks, reading: Reading) -> Patch:
    """Grad-CAM of the malignant class on the classifier's patch."""
    return grad_cam(networks.classifier, EXPLAINED_LAYER, reading.image, MALIGNANT)


def source_mask(volume: Volume, reading: Reading) -> Bool[np.ndarray, "slices rows columns"]:
    """The nodule on the source grid; at least the voxel at its centre's place where slices are thick."""
    return mask_on_source(volume, reading.grid, reading.level)


def grown(hu: Patch, size: float, largest: float) -> tuple[Bool[np.ndarray, "slices rows columns"], Patch]:
    """The density at the middle of a patch, from its peak down towards the lung around it; mask and level.

    A ball around the middle grows until the density fills less than FILL of it: there the nodule has ended. The mask is empty
    where it never does, as in walls and large vessels.

    Args:
        hu: the patch.
        size: about its diameter, in voxels.
        largest: radius of the last ball, in voxels.
    """
    middle = np.array(hu.shape) // 2
    distance = np.sqrt(sum((axis - m) ** 2 for axis, m in zip(np.ogrid[tuple(map(slice, hu.shape))], middle, strict=True)))
    smooth = ndimage.gaussian_filter(hu, 0.7)
    peak = float(np.percentile(smooth[distance < max(2.0, size / 4)], 90))
    radius, reach = max(3.0, size / 2), max(2, round(size / 4))
    while radius <= largest:
        around = smooth[(distance > radius) & (distance < radius + SHELL) & (smooth < LUNG_HU)]
        lung = float(np.median(around)) if len(around) else TYPICAL_LUNG_HU
        level = (smooth - (lung + EDGE_SHARE * (peak - lung))).astype(np.float32)
        ball = distance < radius
        part = _without_threads(central_part((level > 0) & ball, reach), reach)
        if np.count_nonzero(part) < FILL * np.count_nonzero(ball):
            return part, level
        radius *= 1.15
    return np.zeros(hu.shape, bool), smooth


def _without_threads(part: Bool[np.ndarray, "slices rows columns"], reach: int) -> Bool[np.ndarray, "slices rows columns"]:
    """Without the thin vessels that enter a nodule; a tiny one stays as it is."""
    if np.count_nonzero(part) < THREADED_VOXELS:
        return part
    opened = central_part(np.asarray(ndimage.binary_opening(part)), reach)
    return opened if np.count_nonzero(opened) >= FEWEST_VOXELS else part


def central_part(mask: Bool[np.ndarray, "slices rows columns"], reach: int) -> Bool[np.ndarray, "slices rows columns"]:
    """The connected part with the most voxels near the middle."""
    parts, count = ndimage.label(mask)
    if not count:
        return mask
    middle = tuple(slice(max(0, size // 2 - reach), size // 2 + reach + 1) for size in mask.shape)
    near = np.bincount(parts[middle].ravel(), minlength=count + 1)
    near[0] = 0
    return np.asarray((parts == near.argmax()) & (near.max() > 0))
