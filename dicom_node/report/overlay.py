"""A picture of the findings for a quick look: slices and a reformat with the segments in colour. It names no patient."""

from pathlib import Path

import numpy as np
from PIL import Image

from dicom_node.report.panels import LINE, Paint, View, letters_of, panel, side_by_side, window_of, windowed, write_line
from engine.findings import Findings, Segment
from engine.volume import Volume

OPACITY = 0.35
SHARES = (0.85, 0.5, 0.15)  # of the segmented range: upper, middle, lower
AROUND = 12
"""Pixels around a segment that count when the window is chosen."""


def draw_overlay(volume: Volume, findings: Findings, path: Path) -> None:
    """Save the picture as PNG.

    Raises:
        OSError: the file cannot be written.
    """
    render_overlay(volume, findings).save(path, format="PNG")


def render_overlay(volume: Volume, findings: Findings) -> Image.Image:
    """Three slices (upper, middle, lower of what is segmented) and a reformat along the normal, with sides and a legend."""
    shown = [s for s in findings.segments if s.mask.any()]
    used = np.flatnonzero(np.any([s.mask.any(axis=(1, 2)) for s in shown], axis=0)) if shown else np.arange(len(volume.slices))
    upward = 1 if volume.normal[2] >= 0 else -1
    indices = [int(used[round(share * (len(used) - 1))]) for share in SHARES][::upward]
    window = window_of(volume, _around(volume, shown))
    panels = [_slice(volume, shown, k, window) for k in indices]
    if len(volume.slices) > 1:
        panels.append(_reformat(volume, shown, window))
    picture, top = side_by_side(panels, len(shown) or 1)
    for n, segment in enumerate(shown):
        text = f"{segment.label}: {volume.volume_ml(segment.mask):.1f} ml"
        write_line(picture, top + LINE * n, text, segment.colour_rgb)
    if not shown:
        write_line(picture, top, findings.reason or findings.outcome.value)
    return picture


def _around(volume: Volume, shown: list[Segment]) -> np.ndarray | None:
    """Values in and near the segments, on the slice where each is largest."""
    values = []
    for segment in shown:
        k = int(np.count_nonzero(segment.mask, axis=(1, 2)).argmax())
        rows, columns = np.nonzero(segment.mask[k])
        box = tuple(slice(max(int(i.min()) - AROUND, 0), int(i.max()) + AROUND + 1) for i in (rows, columns))
        values.append(volume.voxels[k][box].ravel())
    return np.concatenate(values) if values else None


def _slice(volume: Volume, shown: list[Segment], index: int, window: tuple[float, float]) -> Image.Image:
    rows, columns = volume.voxels.shape[1:]
    size_mm = (rows * volume.pixel_spacing_mm[0], columns * volume.pixel_spacing_mm[1])
    title = f"slice {index + 1} of {len(volume.slices)}"
    letters = letters_of(volume.row_direction, volume.column_direction)
    view = View(title, windowed(volume.voxels[index], window), letters, size_mm)
    return panel(view, _colouring([(s.mask[index], s.colour_rgb) for s in shown]))


def _reformat(volume: Volume, shown: list[Segment], window: tuple[float, float]) -> Image.Image:
    """The plane through the middle of the segments that holds the normal and the row direction, the head above."""
    marked = [np.flatnonzero(s.mask.any(axis=(0, 2))) for s in shown]
    rows = np.concatenate(marked) if marked else np.arange(volume.voxels.shape[1])
    row = int(np.median(rows))
    bounds = np.cumsum(volume.slice_heights_mm)
    height_mm, width_mm = float(bounds[-1]), volume.voxels.shape[2] * volume.pixel_spacing_mm[1]
    lines = np.arange(0.5, max(round(height_mm / volume.pixel_spacing_mm[0]), 1)) * volume.pixel_spacing_mm[0]
    nearest = np.minimum(np.searchsorted(bounds, lines), len(bounds) - 1)
    down = volume.normal
    if down[2] > 0:
        nearest, down = nearest[::-1], -down
    grey = windowed(volume.voxels[nearest, row], window)
    view = View("reformat", grey, letters_of(volume.row_direction, down), (height_mm, width_mm))
    return panel(view, _colouring([(s.mask[nearest, row], s.colour_rgb) for s in shown]))


def _colouring(masks: list[tuple[np.ndarray, tuple[int, int, int]]]) -> Paint:
    def paint(pixels: np.ndarray, size: tuple[int, int]) -> None:
        for mask, colour in masks:
            inside = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)) > 0
            pixels[inside] += (np.array(colour) - pixels[inside]) * OPACITY
            pixels[inside & ~_eroded(inside)] = colour

    return paint


def _eroded(mask: np.ndarray) -> np.ndarray:
    """Pixels whose four neighbours are marked too."""
    padded = np.pad(mask, 1)
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.asarray(np.logical_and.reduce(neighbours))
