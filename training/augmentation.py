"""Images changed as scanners and patients differ, labels along with them; MONAI's transforms, driven by a torch generator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from monai.data.meta_obj import get_track_meta, set_track_meta
from monai.transforms import compose as monai_compose
from monai.transforms.intensity import dictionary as intensity
from monai.transforms.spatial import dictionary as spatial
from torch import Tensor

from training.elastic import bend

_IMAGE, _LABELS = "image", "labels"

Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Image [channel, ...], labels [...] and a generator to the changed image and labels."""


@dataclass(frozen=True, slots=True)
class AugmentationChoice:
    """How often each change is made (a probability; 0 for never), and how strong it may be.

    Intensities are those of the network's input, whose spread is about 1.

    Attributes:
        affine: rotation, scaling and shift together.
        elastic: smooth displacements.
        shift, contrast: calibration errors: an offset, a factor.
        gamma: a bent grey scale, for MR.
        bias_field: a smooth factor over the image, for MR.
        low_resolution: coarser sampling, brought back to the grid: thick slices, soft kernels.
        flip_axes: index axes that may be mirrored (0 slice, 1 row, 2 column). Leave it empty where right and left, or front and
            back, are part of what is to be learnt.
    """

    affine: float = 0.0
    rotation_degrees: float = 15.0
    scaling: float = 0.15
    shift_voxels: float = 4.0
    elastic: float = 0.0
    elastic_voxels: float = 3.0
    shift: float = 0.0
    shift_size: float = 0.1
    contrast: float = 0.0
    contrast_size: float = 0.1
    noise: float = 0.0
    noise_size: float = 0.1
    blur: float = 0.0
    blur_voxels: float = 1.0
    gamma: float = 0.0
    gamma_range: tuple[float, float] = (0.7, 1.5)
    bias_field: float = 0.0
    bias_size: float = 0.3
    low_resolution: float = 0.0
    low_resolution_factor: float = 0.5
    flip: float = 0.0
    flip_axes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse flips along no axis."""
        if self.flip and not self.flip_axes:
            raise ValueError("flip needs flip_axes: the index axes that may be mirrored without changing what is true")


def make_augmentation(choice: AugmentationChoice, axes: int = 3) -> Augment:
    """The chosen changes as one function; the same generator state gives the same change.

    Args:
        choice: of changes.
        axes: 3 for volumes, 2 for projection images.
    """
    moves = monai_compose.Compose(_moves(choice, axes))
    looks = monai_compose.Compose(_looks(choice, axes))

    def augment(
        image: Float32[Tensor, "channels *grid"], labels: Int64[Tensor, "*grid"], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        image, labels = _apply(moves, image, labels, generator)
        if choice.elastic and float(torch.rand((), generator=generator)) < choice.elastic:
            image, labels = bend(image, labels, choice.elastic_voxels, generator)
        return _apply(looks, image, labels, generator)

    return augment


def _apply(
    transform: monai_compose.Compose, image: Tensor, labels: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    if not transform.transforms:
        return image, labels
    transform.set_random_state(int(torch.randint(2**31, (), generator=generator)))
    followed = get_track_meta()
    set_track_meta(False)  # positions are not followed through a patch
    try:
        changed: Any = transform({_IMAGE: image, _LABELS: labels[None].float()})
    finally:
        set_track_meta(followed)
    return changed[_IMAGE].as_subclass(Tensor).float(), changed[_LABELS][0].as_subclass(Tensor).round().long()


def _moves(choice: AugmentationChoice, axes: int) -> list[Any]:
    keys, modes = (_IMAGE, _LABELS), ("bilinear", "nearest")
    found: list[Any] = []
    if choice.affine:
        found.append(
            spatial.RandAffined(
                keys,
                prob=choice.affine,
                rotate_range=[np.radians(choice.rotation_degrees)] * (axes if axes == 3 else 1),
                scale_range=[choice.scaling] * axes,
                translate_range=[choice.shift_voxels] * axes,
                mode=modes,
                padding_mode="border",
            )
        )
    found += [spatial.RandFlipd(keys, prob=choice.flip, spatial_axis=axis) for axis in choice.flip_axes if choice.flip]
    return found


def _looks(choice: AugmentationChoice, axes: int) -> list[Any]:
    widths = (0.25, choice.blur_voxels)
    mode = "trilinear" if axes == 3 else "bilinear"
    zoom = (choice.low_resolution_factor, 1.0)
    offered = (
        (
            choice.low_resolution,
            lambda p: spatial.RandSimulateLowResolutiond(_IMAGE, p, upsample_mode=mode, zoom_range=zoom),
        ),
        (choice.blur, lambda p: intensity.RandGaussianSmoothd(_IMAGE, widths, widths, widths, prob=p)),
        (choice.bias_field, lambda p: intensity.RandBiasFieldd(_IMAGE, coeff_range=(0.0, choice.bias_size), prob=p)),
        (choice.gamma, lambda p: intensity.RandAdjustContrastd(_IMAGE, prob=p, gamma=choice.gamma_range)),
        (choice.contrast, lambda p: intensity.RandScaleIntensityd(_IMAGE, factors=choice.contrast_size, prob=p)),
        (choice.shift, lambda p: intensity.RandShiftIntensityd(_IMAGE, offsets=choice.shift_size, prob=p)),
        (choice.noise, lambda p: intensity.RandGaussianNoised(_IMAGE, prob=p, std=choice.noise_size)),
    )
    return [make(probability) for probability, make in offered if probability]
