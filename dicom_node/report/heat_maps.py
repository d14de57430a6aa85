"""Explanations as pictures: a heat map in colour over the grey image that it explains. They name no patient."""

import numpy as np
from PIL import Image

from dicom_node.report.panels import (
    LINE,
    Paint,
    View,
    letters_of,
    panel,
    side_by_side,
    window_of,
    windowed,
    write_line,
)
from engine.findings import Explanation
from engine.projection import ProjectionImage
from engine.volume import Volume

NOT_FOR_MEASURING = "not for measuring; colour: dark red little, yellow most"
COLOURS = np.array([(0, 0, 0), (120, 0, 0), (230, 40, 0), (255, 150, 0), (255, 240, 60)], float)
OPACITY = 0.6
MARGIN_SHARE = 0.3
"""How much of the image is shown around the box of the heat map, as a share of the box."""


def render_explanation(volume: Volume, explanation: Explanation) -> Image.Image:
    """The whole slice where the heat is greatest, and the box from near on that and two further slices."""
    heat, (first, row, column) = explanation.heat, explanation.first
    hottest = int(heat.max(axis=(1, 2)).argmax())
    planes = sorted({len(heat) // 4, hottest, 3 * len(heat) // 4})
    box = (slice(row, row + heat.shape[1]), slice(column, column + heat.shape[2]))
    near = (_grown(box[0], volume.voxels.shape[1]), _grown(box[1], volume.voxels.shape[2]))
    window = window_of(volume, volume.voxels[first : first + len(heat), near[0], near[1]])
    letters = letters_of(volume.row_direction, volume.column_direction)
    whole = (slice(0, volume.voxels.shape[1]), slice(0, volume.voxels.shape[2]))
    panels = []
    for plane, part in [(hottest, whole), *((plane, near) for plane in planes)]:
        grey = windowed(volume.voxels[first + plane][part], window)
        size_mm = (grey.shape[0] * volume.pixel_spacing_mm[0], grey.shape[1] * volume.pixel_spacing_mm[1])
        title = f"slice {first + plane + 1} of {len(volume.slices)}{'' if part is whole else ', enlarged'}"
        panels.append(panel(View(title, grey, letters, size_mm), _heating(_placed(heat[plane], box, part))))
    return _captioned(panels, explanation)


def render_projection_explanation(
    image: ProjectionImage, letters: tuple[str, str, str, str], explanation: Explanation
) -> Image.Image:
    """The image alone, and with the heat map on it."""
    _, row, column = explanation.first
    heat = explanation.heat[0]
    box = (slice(row, row + heat.shape[0]), slice(column, column + heat.shape[1]))
    whole = (slice(0, image.pixels.shape[0]), slice(0, image.pixels.shape[1]))
    view = projection_view(image, letters)
    return _captioned([panel(view), panel(view, _heating(_placed(heat, box, whole)))], explanation)


def projection_view(image: ProjectionImage, letters: tuple[str, str, str, str]) -> View:
    rows, columns = image.pixels.shape
    row_mm, column_mm = image.pixel_spacing_mm or (1.0, 1.0)
    title = " ".join(word for word in (image.modality, image.view_position, image.laterality) if word)
    return View(title, windowed(image.pixels, image.window), letters, (rows * row_mm, columns * column_mm))


def _captioned(panels: list[Image.Image], explanation: Explanation) -> Image.Image:
    picture, top = side_by_side(panels, 2)
    write_line(picture, top, explanation.label)
    write_line(picture, top + LINE, NOT_FOR_MEASURING)
    return picture


def _grown(extent: slice, limit: int) -> slice:
    margin = max(round((extent.stop - extent.start) * MARGIN_SHARE), 4)
    return slice(max(extent.start - margin, 0), min(extent.stop + margin, limit))


def _placed(heat: np.ndarray, box: tuple[slice, slice], part: tuple[slice, slice]) -> np.ndarray:
    """Heat on the pixels of a part of the image that holds the whole box; 0 outside the box."""
    placed = np.zeros((part[0].stop - part[0].start, part[1].stop - part[1].start), np.float32)
    rows, columns = (slice(b.start - p.start, b.stop - p.start) for b, p in zip(box, part, strict=True))
    placed[rows, columns] = heat
    return placed


def _heating(heat: np.ndarray) -> Paint:
    def paint(pixels: np.ndarray, size: tuple[int, int]) -> None:
        share = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)).clip(0, 1)
        steps = np.linspace(0, 1, len(COLOURS))
        colour = np.stack([np.interp(share, steps, channel) for channel in COLOURS.T], axis=2)
        pixels += (colour - pixels) * (OPACITY * share)[..., None]

    return paint
