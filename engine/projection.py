"""One projection image (CR, DX, MG ...): a picture without a place in patient space."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from engine.volume import SliceReference


@dataclass(frozen=True)
class ProjectionImage:
    """Pixels as a display of this image would show them, before a window is chosen.

    Attributes:
        pixels: [row, column] after the Modality LUT; large is bright (MONOCHROME1 is turned over).
        window: (low, high) of the first VOI window of the header, else the 1st and 99th percentile.
        pixel_spacing_mm: between rows, between columns (Pixel Spacing, else Imager Pixel Spacing); None if unknown.
        modality: Modality of the series.
        view_position: View Position ("PA", "CC" ...), empty if unknown.
        laterality: Image Laterality, else Laterality: "L", "R", "B" or empty.
        source: the SOP Instance and, in a multi-frame one, the frame.
    """

    pixels: Float32[np.ndarray, "rows columns"]
    window: tuple[float, float]
    pixel_spacing_mm: tuple[float, float] | None
    modality: str
    view_position: str
    laterality: str
    source: SliceReference
