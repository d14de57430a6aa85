"""Pictures of truth and result on the images: green the truth's outline, magenta the result's, yellow where they agree."""

import io
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.ndimage import binary_erosion

from engine.volume import Volume

TRUTH_RGB, FOUND_RGB, BOTH_RGB = (60, 220, 90), (255, 60, 200), (255, 250, 150)
CAPTION = (
    "Outlines: green the truth, magenta the result, yellow both; left where the structure is largest, right where they differ."
)
LUNG_WINDOW_HU, SOFT_WINDOW_HU = (-1350.0, 250.0), (-110.0, 240.0)
AIR_HU = -400.0
HEIGHT = 360

Mask = Bool[np.ndarray, "slices rows columns"]
Plane = Bool[np.ndarray, "rows columns"]


def overlay(volume: Volume, truth: Mapping[str, Mask], found: Mapping[str, Mask]) -> bytes:
    """PNG of two slices, of three without a truth; empty where there is neither truth nor result."""
    all_truth, all_found = _union(truth, volume), _union(found, volume)
    shown = all_truth if all_truth.any() else all_found
    if not shown.any():
        return b""
    window = _window(volume, shown)
    indices = _telling(all_truth, all_found) if all_truth.any() else _spread(all_found)
    panels = [_panel(volume, truth, found, index, window) for index in indices]
    image = Image.fromarray(np.concatenate(panels, axis=1))
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _telling(truth: Mask, found: Mask) -> list[int]:
    """The slice with most of the structure, and the one where truth and result differ most."""
    differ = np.count_nonzero(truth ^ found, axis=(1, 2))
    largest = int(np.count_nonzero(truth, axis=(1, 2)).argmax())
    return [largest, int(differ.argmax()) if differ.any() else largest]


def _spread(found: Mask) -> list[int]:
    """Slices at a fifth, half and four fifths of the structure's height."""
    held = np.flatnonzero(found.any(axis=(1, 2)))
    return [int(held[int(share * (len(held) - 1))]) for share in (0.2, 0.5, 0.8)]


def _union(masks: Mapping[str, Mask], volume: Volume) -> Mask:
    union = np.zeros(volume.voxels.shape, bool)
    for mask in masks.values():
        union |= mask
    return union


def _window(volume: Volume, shown: Mask) -> tuple[float, float]:
    values = volume.voxels[shown]
    if volume.modality == "CT":
        return LUNG_WINDOW_HU if float(np.median(values)) < AIR_HU else SOFT_WINDOW_HU
    inside = volume.voxels[volume.voxels > volume.voxels.min()]
    low, high = np.percentile(inside if inside.size else volume.voxels, [1, 99.5])
    return float(low), float(max(high, low + 1))


def _panel(
    volume: Volume, truth: Mapping[str, Mask], found: Mapping[str, Mask], index: int, window: tuple[float, float]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """One slice with outlines, at true proportions."""
    height_mm, width_mm = (count * step for count, step in zip(volume.voxels.shape[1:], volume.pixel_spacing_mm, strict=True))
    size = (max(1, round(HEIGHT * width_mm / height_mm)), HEIGHT)
    low, high = window
    grey: Float[np.ndarray, "rows columns"] = np.clip((volume.voxels[index] - low) / (high - low), 0, 1) * 255
    image = np.asarray(Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR).convert("RGB")).copy()
    true, ours = (_outlines(masks, index, size) for masks in (truth, found))
    image[true], image[ours], image[true & ours] = TRUTH_RGB, FOUND_RGB, BOTH_RGB
    return image


def _outlines(masks: Mapping[str, Mask], index: int, size: tuple[int, int]) -> Plane:
    outlines = [_outline(mask[index], size) for mask in masks.values()]
    return np.asarray(np.any(outlines or [np.zeros(size[::-1], bool)], axis=0))


def _outline(plane: Plane, size: tuple[int, int]) -> Plane:
    scaled = np.asarray(Image.fromarray(plane.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)) > 127
    return np.asarray(scaled & ~binary_erosion(scaled))
