"""Synthetic chest radiographs (PA) with and without a large opacity: line integrals through the thorax phantom."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn import functional

from training.phantoms.fields import Draw
from training.phantoms.thorax import LEFT_LUNG, RIGHT_LUNG, TRAINING_SPACING_MM, ThoraxPhantom, thorax

WATER_PER_MM = 0.019
"""Linear attenuation coefficient of water at about 70 keV, the mean energy of a 120 kV beam."""
VARIANTS = 4
"""Radiographs of one patient: seeds 4n to 4n + 3; the even ones healthy."""
SHIFT = 6
"""Pixels by which the detector may lie beside the patient's centre."""
PIXEL_SPACING_MM = TRAINING_SPACING_MM[0], TRAINING_SPACING_MM[2]


@dataclass(frozen=True)
class RadiographPhantom:
    """One synthetic radiograph; rows run to the feet, columns to the patient's left.

    Attributes:
        pixels: large is bright (dense).
        opacity: where an opacity lies in front of the detector; empty in a healthy patient.
        window: (low, high) that a workstation would choose.
        kind: "healthy", "mass", "consolidation" or "effusion".
    """

    pixels: Float32[np.ndarray, "rows columns"]
    opacity: Bool[np.ndarray, "rows columns"]
    window: tuple[float, float]
    kind: str


def radiograph(seed: int) -> RadiographPhantom:
    """The radiograph of a seed; the same on every run."""
    draw = Draw(1_000_003 * (seed + 1))
    patient = _patient(seed // VARIANTS)
    hu = torch.from_numpy(patient.hu).float().clamp(-1000, 2000)
    kind = ("mass", "consolidation", "effusion")[draw.count(0, 2)] if seed % 2 else "healthy"
    diseased = _PAINTERS[kind](patient, draw) if kind != "healthy" else torch.zeros_like(hu)
    hu = torch.maximum(hu, hu + diseased * (draw.uniform(0, 60) - hu))
    depth = diseased.sum(1).flip(0) * patient.spacing_mm[1]
    density = ((hu + 1000) / 1000).clamp(min=0).sum(1).flip(0) * patient.spacing_mm[1] * WATER_PER_MM
    corner = (draw.count(0, 2 * SHIFT), draw.count(0, 2 * SHIFT))
    pixels = _expose(_cut(density, corner), draw)
    opacity = _cut(depth, corner) > 10
    low, high = (float(value) for value in np.percentile(pixels.numpy(), (draw.uniform(0.5, 6), draw.uniform(96, 99.5))))
    return RadiographPhantom(pixels.numpy(), opacity.numpy(), (low, high), kind)


@lru_cache(maxsize=2)
def _patient(seed: int) -> ThoraxPhantom:
    return thorax(seed, healthy=True)


def _cut(projection: Float32[Tensor, "rows columns"], corner: tuple[int, int]) -> Float32[Tensor, "rows columns"]:
    """The detector's position: the same size from another corner, the borders repeated."""
    rows, columns = projection.shape
    wide = functional.pad(projection[None, None], [SHIFT] * 4, mode="replicate")[0, 0]
    return wide[corner[0] : corner[0] + rows, corner[1] : corner[1] + columns]


def _expose(density: Float32[Tensor, "rows columns"], draw: Draw) -> Float32[Tensor, "rows columns"]:
    """What a detector makes of it: scatter, quanta, unsharpness, the logarithm, a marker."""
    transmitted = torch.exp(-density)
    scatter = functional.avg_pool2d(transmitted[None, None], 31, 1, 15, count_include_pad=False)[0, 0]
    photons = (transmitted + draw.uniform(0.1, 0.6) * scatter) * 10 ** draw.uniform(4.5, 6)
    noisy = (photons + photons.sqrt() * draw.white(photons.shape)).clamp(min=1)
    pixels = -torch.log(noisy)
    if draw.chance(0.5):
        pixels = functional.avg_pool2d(pixels[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    if draw.chance(0.5):
        row, column = draw.count(2, 8), draw.count(4, pixels.shape[1] - 12)
        pixels[row : row + 6, column : column + 5] = pixels.max() + 0.5
    return 1000 * pixels


def _side(patient: ThoraxPhantom, draw: Draw) -> Tensor:
    """One lung, as numbers 0 and 1."""
    return torch.from_numpy(patient.labels == (RIGHT_LUNG if draw.chance(0.5) else LEFT_LUNG)).float()


def _mass(patient: ThoraxPhantom, draw: Draw) -> Float32[Tensor, "slices rows columns"]:
    """A ball of 24 to 40 mm radius around a point of the lung."""
    lung = _side(patient, draw)
    return lung * (_distance_mm(lung, patient, draw) < draw.uniform(24, 40))


def _consolidation(patient: ThoraxPhantom, draw: Draw) -> Float32[Tensor, "slices rows columns"]:
    """A larger part of the lung with an unsharp border, not quite without air."""
    lung = _side(patient, draw)
    distance = _distance_mm(lung, patient, draw)
    return lung * torch.sigmoid((draw.uniform(38, 60) - distance) / 6) * draw.uniform(0.6, 0.95)


def _effusion(patient: ThoraxPhantom, draw: Draw) -> Float32[Tensor, "slices rows columns"]:
    """Fluid up to a level that rises towards the chest wall."""
    lung = _side(patient, draw)
    occupied = lung.nonzero()
    lowest, highest = int(occupied[:, 0].min()), int(occupied[:, 0].max())
    level = lowest + draw.uniform(0.3, 0.55) * (highest - lowest)
    columns = torch.arange(lung.shape[2]).view(1, 1, -1)
    lateral = (columns - lung.shape[2] / 2).abs() / (lung.shape[2] / 2)
    return lung * (torch.arange(len(lung)).view(-1, 1, 1) < level + 15 * (lateral - 0.4))


_PAINTERS = {"mass": _mass, "consolidation": _consolidation, "effusion": _effusion}


def _distance_mm(lung: Tensor, patient: ThoraxPhantom, draw: Draw) -> Tensor:
    """From a random voxel of the lung."""
    occupied = lung.nonzero()
    centre = occupied[draw.count(0, len(occupied) - 1)]
    axes = [
        ((torch.arange(count) - int(index)) * step) ** 2
        for count, index, step in zip(lung.shape, centre, patient.spacing_mm, strict=True)
    ]
    return (axes[0].view(-1, 1, 1) + axes[1].view(1, -1, 1) + axes[2].view(1, 1, -1)).sqrt()
