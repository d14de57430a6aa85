"""What the liver engine refuses before it looks, and what it does not believe afterwards."""

import numpy as np
from jaxtyping import Bool

from engine.api import Refusal
from engine.catalog._liver_shape import Surroundings
from engine.geometry.words import count
from engine.reading.rescale import BACKGROUND
from engine.volume import Volume

MINIMUM_SLICES = 10
MINIMUM_COVERAGE_MM = 70.0
MAXIMUM_STEP_MM = 10.0
PIXEL_SPACING_RANGE_MM = (0.2, 5.0)
AIR_HU = -300
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
    if volume.modality != "CT":
        raise Refusal(f"Liver analysis needs CT; this series is {volume.modality or 'of unknown modality'}.")
    slices = len(volume.voxels)
    if slices < MINIMUM_SLICES:
        raise Refusal(f"Only {count(slices, 'slice')}; liver analysis needs at least {MINIMUM_SLICES}.")
    coverage = float(np.ptp(volume.along_normal_mm))
    if coverage < MINIMUM_COVERAGE_MM:
        raise Refusal(f"The slices cover only {coverage:.0f} mm; liver analysis needs at least {MINIMUM_COVERAGE_MM:.0f} mm.")
    step = volume.spacing_mm[0]
    if step > MAXIMUM_STEP_MM:
        raise Refusal(f"The slices are {step:.1f} mm apart; liver analysis needs {MAXIMUM_STEP_MM:.0f} mm or less.")
    low, high = PIXEL_SPACING_RANGE_MM
    if not all(low <= spacing <= high for spacing in volume.pixel_spacing_mm):
        spacing = " x ".join(f"{value:.3g}" for value in volume.pixel_spacing_mm)
        raise Refusal(f"The pixel spacing of {spacing} mm is not that of a CT of a person's trunk.")
    if not any(((plane > BACKGROUND["CT"]) & (plane < AIR_HU)).any() for plane in volume.voxels):
        raise Refusal(
            f"No voxel is as dark as air, none even below {AIR_HU} HU: Rescale Intercept seems to be wrong. "
            "Send the original images."
        )


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
