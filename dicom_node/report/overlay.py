"""A picture of the findings for a quick look: slices and a reformat with the segments in colour. It names no patient."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.findings import Findings, Segment
from engine.volume import Volume

PANEL_WIDTH = 420
MARGIN, LINE = 10, 22
CT_WINDOW_HU = (-1350.0, 150.0)  # centre -600, width 1500
OPACITY = 0.35
SHARES = (0.85, 0.5, 0.15)  # of the segmented range: upper, middle, lower
SIDES = (("R", "L"), ("A", "P"), ("F", "H"))  # of -x and +x, -y and +y, -z and +z in LPS
PALE, BLACK = (235, 235, 235), (0, 0, 0)


@dataclass(frozen=True)
class _View:
    """A plane to show: grey values and masks on one grid, its directions in the patient and its size in mm.

    Attributes:
        right, down: direction in the patient along which columns and rows grow.
    """

    title: str
    grey: np.ndarray
    masks: tuple[np.ndarray, ...]
    right: np.ndarray
    down: np.ndarray
    size_mm: tuple[float, float]


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
    views = [_slice_view(volume, shown, k) for k in indices]
    if len(volume.slices) > 1:
        views.append(_reformat(volume, shown))
    panels = [_panel(view, [s.colour_rgb for s in shown], volume) for view in views]
    width = sum(p.width for p in panels) + MARGIN * (len(panels) + 1)
    height = max(p.height for p in panels) + 2 * MARGIN
    picture = Image.new("RGB", (width, height + LINE * (len(shown) or 1) + MARGIN), BLACK)
    x = MARGIN
    for panel in panels:
        picture.paste(panel, (x, MARGIN))
        x += panel.width + MARGIN
    _legend(picture, shown, findings, volume, height)
    return picture


def _slice_view(volume: Volume, shown: list[Segment], index: int) -> _View:
    rows, columns = volume.voxels.shape[1:]
    size = (rows * volume.pixel_spacing_mm[0], columns * volume.pixel_spacing_mm[1])
    masks = tuple(s.mask[index] for s in shown)
    title = f"slice {index + 1} of {len(volume.slices)}"
    return _View(title, volume.voxels[index], masks, volume.row_direction, volume.column_direction, size)


def _reformat(volume: Volume, shown: list[Segment]) -> _View:
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
    masks = tuple(s.mask[nearest, row] for s in shown)
    return _View("reformat", volume.voxels[nearest, row], masks, volume.row_direction, down, (height_mm, width_mm))


def _panel(view: _View, colours: list[tuple[int, int, int]], volume: Volume) -> Image.Image:
    height_mm, width_mm = view.size_mm
    size = (PANEL_WIDTH, max(round(PANEL_WIDTH * height_mm / width_mm), 1))
    grey = Image.fromarray(_windowed(view.grey, volume)).resize(size, Image.Resampling.BILINEAR)
    pixels = np.repeat(np.asarray(grey, float)[..., None], 3, axis=2)
    for mask, colour in zip(view.masks, colours, strict=True):
        inside = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)) > 0
        pixels[inside] += (np.array(colour) - pixels[inside]) * OPACITY
        pixels[inside & ~_eroded(inside)] = colour
    panel = Image.fromarray(pixels.round().astype(np.uint8))
    _letter_sides(panel, view)
    return panel


def _windowed(values: np.ndarray, volume: Volume) -> np.ndarray:
    low, high = (
        CT_WINDOW_HU if volume.modality == "CT" else np.percentile(volume.voxels[:: max(len(volume.voxels) // 8, 1)], (1, 99))
    )
    return np.asarray(np.clip((values - low) / max(high - low, 1) * 255, 0, 255), np.uint8)


def _eroded(mask: np.ndarray) -> np.ndarray:
    """Pixels whose four neighbours are marked too."""
    padded = np.pad(mask, 1)
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.asarray(np.logical_and.reduce(neighbours))


def side(direction: np.ndarray) -> str:
    """The letter of the side of the patient to which a direction (LPS) points most."""
    axis = int(np.abs(direction).argmax())
    return SIDES[axis][int(direction[axis] > 0)]


def _letter_sides(panel: Image.Image, view: _View) -> None:
    draw, font = ImageDraw.Draw(panel), _font(18)
    middle_x, middle_y = panel.width // 2, panel.height // 2
    edges = (
        ((8, middle_y), side(-view.right), "lm"),
        ((panel.width - 8, middle_y), side(view.right), "rm"),
        ((middle_x, 6), side(-view.down), "mt"),
        ((middle_x, panel.height - 6), side(view.down), "mb"),
    )
    for place, letter, anchor in edges:
        draw.text(place, letter, fill=PALE, font=font, anchor=anchor, stroke_width=2, stroke_fill=BLACK)
    draw.text((6, 6), view.title, fill=PALE, font=_font(13), stroke_width=1, stroke_fill=BLACK)


def _legend(picture: Image.Image, shown: list[Segment], findings: Findings, volume: Volume, top: int) -> None:
    draw, font = ImageDraw.Draw(picture), _font(15)
    for n, segment in enumerate(shown):
        y = top + LINE * n
        draw.rectangle((MARGIN, y + 3, MARGIN + 14, y + 17), fill=segment.colour_rgb)
        draw.text((MARGIN + 22, y), f"{segment.label}: {volume.volume_ml(segment.mask):.1f} ml", fill=PALE, font=font)
    if not shown:
        draw.text((MARGIN, top), findings.reason or findings.outcome.value, fill=PALE, font=font)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
