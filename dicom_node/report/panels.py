"""Pictures of planes in the patient, with the sides lettered; what is painted on them is the caller's. They name no patient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from engine.volume import Volume

PANEL_WIDTH = 420
MARGIN, LINE = 10, 22
PALE, BLACK = (235, 235, 235), (0, 0, 0)
SIDES = (("R", "L"), ("A", "P"), ("F", "H"))  # of -x and +x, -y and +y, -z and +z in LPS
LUNG_WINDOW_HU = (-1350.0, 150.0)  # centre -600, width 1500
SOFT_TISSUE_WINDOW_HU = (-160.0, 240.0)
AIRY_HU = -300.0
"""What surrounds a finding in the lung is below this, what surrounds any other above."""

Paint = Callable[[np.ndarray, tuple[int, int]], None]
"""Changes RGB pixels [row, column, 3] of 0..255 in place; the second argument is their (width, height)."""


@dataclass(frozen=True)
class View:
    """A plane to show.

    Attributes:
        grey: as shown, after the window.
        letters: sides of the patient at the left, right, upper and lower edge; empty where unknown.
        size_mm: height and width; for an image without a scale its rows and columns.
    """

    title: str
    grey: UInt8[np.ndarray, "rows columns"]
    letters: tuple[str, str, str, str]
    size_mm: tuple[float, float]


def letters_of(right: np.ndarray, down: np.ndarray) -> tuple[str, str, str, str]:
    """Letters of the four edges from the directions in the patient (LPS) along which columns and rows grow."""
    return side(-right), side(right), side(-down), side(down)


def side(direction: np.ndarray) -> str:
    """The letter of the side of the patient to which a direction (LPS) points most."""
    axis = int(np.abs(direction).argmax())
    return SIDES[axis][int(direction[axis] > 0)]


def panel(view: View, paint: Paint = lambda pixels, size: None, width: int = PANEL_WIDTH) -> Image.Image:
    height_mm, width_mm = view.size_mm
    size = (width, max(round(width * height_mm / width_mm), 1))
    grey = Image.fromarray(view.grey).resize(size, Image.Resampling.BILINEAR)
    pixels = np.repeat(np.asarray(grey, float)[..., None], 3, axis=2)
    paint(pixels, size)
    picture = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    _letter(picture, view)
    return picture


def side_by_side(panels: Sequence[Image.Image], lines_below: int) -> tuple[Image.Image, int]:
    """One picture of several, with room for lines of text; and where the first of these lines begins."""
    width = sum(p.width for p in panels) + MARGIN * (len(panels) + 1)
    height = max(p.height for p in panels) + 2 * MARGIN
    picture = Image.new("RGB", (width, height + LINE * lines_below + MARGIN), BLACK)
    x = MARGIN
    for each in panels:
        picture.paste(each, (x, MARGIN))
        x += each.width + MARGIN
    return picture, height


def write_line(picture: Image.Image, y: int, text: str, colour: tuple[int, int, int] | None = None) -> None:
    """A line of text, after a box of a colour where one is given."""
    draw = ImageDraw.Draw(picture)
    if colour is not None:
        draw.rectangle((MARGIN, y + 3, MARGIN + 14, y + 17), fill=colour)
    draw.text((MARGIN if colour is None else MARGIN + 22, y), text, fill=PALE, font=font(15))


def windowed(values: np.ndarray, window: tuple[float, float]) -> UInt8[np.ndarray, "rows columns"]:
    low, high = window
    return np.asarray(np.clip((values - low) / max(high - low, 1e-6) * 255, 0, 255), np.uint8)


def window_of(volume: Volume, around: np.ndarray | None = None) -> tuple[float, float]:
    """The values that are shown black and white.

    Args:
        volume: CT has a window for lung and one for soft tissue, anything else one by its own values.
        around: values of what is to be seen; without them CT is shown as lung.
    """
    if volume.modality != "CT":
        low, high = np.percentile(volume.voxels[:: max(len(volume.voxels) // 8, 1)], (1, 99))
        return float(low), float(high)
    airy = around is None or not around.size or float(np.median(around)) < AIRY_HU
    return LUNG_WINDOW_HU if airy else SOFT_TISSUE_WINDOW_HU


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _letter(picture: Image.Image, view: View) -> None:
    draw = ImageDraw.Draw(picture)
    middle_x, middle_y = picture.width // 2, picture.height // 2
    places = ((8, middle_y), (picture.width - 8, middle_y), (middle_x, 6), (middle_x, picture.height - 6))
    for place, letter, anchor in zip(places, view.letters, ("lm", "rm", "mt", "mb"), strict=True):
        draw.text(place, letter, fill=PALE, font=font(18), anchor=anchor, stroke_width=2, stroke_fill=BLACK)
    draw.text((6, 6), view.title, fill=PALE, font=font(13), stroke_width=1, stroke_fill=BLACK)
