"""What the liver engine refuses before it looks, and what it does not believe afterwards."""

import numpy as np
from jaxtyping import Bool

from engine.api import Refusal
from engine.catalog._liver_shape import Surroundings
from engine.catalog._stack_limits import StackLimits, require_air
from engine.volume import Volume

LIMITS = StackLimits(
    task="liver analysis",
    modality="CT",
    region="a CT of a person's trunk",
    minimum_slices=10,
    minimum_coverage_mm=70.0,
    maximum_step_mm=10.0,
    pixel_spacing_range_mm=(0.2, 5.0),
)
LIVER_ML = (400.0, 4000.0)
LEAST_CUT_ML = 150.0
"""Of a liver of which the scan shows a part."""
LEVEL_HU = (-40.0, 230.0)
LARGEST_BONE_SHARE = 0.2
FARTHEST_LEFT_MM = -8.0
BORDER_SHARE = 0.05
"""Share of the liver's largest slice area that, on the first or last slice, says that the scan cuts it."""

Mask = Bool[np.ndarray, "slices rows columns"]


def require_abdomen_ct(volume: Volume) -> None:
    """Refuse what the engine was not made for.

    Raises:
        Refusal: with the reason for the physician.
    """
    if volume.modality == "MR":
        raise Refusal("Liver lesions are looked for on CT only: the networks were not trained on MR.")
    LIMITS.require(volume)
    require_air(volume)


def why_no_liver(volume: Volume, liver: Mask, level_hu: float, place: Surroundings) -> str:
    """Why what was found is not believed to be a liver; empty if it is."""
    volume_ml = volume.volume_ml(liver)
    least = LEAST_CUT_ML if is_cut(liver) else LIVER_ML[0]
    if volume_ml < least:
        return f"No liver in the field of view, or too little of it: {volume_ml:.0f} ml were found."
    if volume_ml > LIVER_ML[1]:
        return f"What was found has {volume_ml:.0f} ml, more than a liver has: other organs seem to be in it."
    if not LEVEL_HU[0] <= level_hu <= LEVEL_HU[1]:
        return f"What was found has {level_hu:.0f} HU, which no liver has."
    if place.bone_share > LARGEST_BONE_SHARE:
        return "What was found is enclosed by bone, as a brain is: this is no abdomen."
    if place.left_mm > FARTHEST_LEFT_MM:
        return "What was found lies left of the middle or on it: mirrored organs, a turned image, or not the liver."
    return ""


def is_cut(mask: Mask) -> bool:
    """Whether the liver reaches the first or last slice with more than a trace."""
    areas = np.count_nonzero(mask, axis=(1, 2))
    return bool(max(areas[0], areas[-1]) > BORDER_SHARE * areas.max())
