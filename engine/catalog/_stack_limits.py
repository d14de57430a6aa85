"""What a stack of slices must be like for an engine, and the refusal that says what is amiss."""

from dataclasses import dataclass

import numpy as np

from engine.api import Refusal
from engine.geometry.words import count
from engine.reading.rescale import BACKGROUND
from engine.volume import Volume

AIR_HU = -300


@dataclass(frozen=True, slots=True)
class StackLimits:
    """What an engine was made for.

    Attributes:
        task: in words, for the physician ("lung segmentation").
        modality: value of Modality.
        region: whose images have such pixels ("a CT of a person").
    """

    task: str
    modality: str
    region: str
    minimum_slices: int
    minimum_coverage_mm: float
    maximum_step_mm: float
    pixel_spacing_range_mm: tuple[float, float]

    def require(self, volume: Volume) -> None:
        """Refuse another modality, too few or too thick slices, too little coverage, and pixels of another kind of image.

        Raises:
            Refusal: with the reason for the physician.
        """
        if volume.modality != self.modality:
            modality = volume.modality or "of unknown modality"
            raise Refusal(f"{self.task.capitalize()} needs {self.modality}; this series is {modality}.")
        slices = len(volume.voxels)
        if slices < self.minimum_slices:
            raise Refusal(f"Only {count(slices, 'slice')}; {self.task} needs at least {self.minimum_slices}.")
        coverage = float(np.ptp(volume.along_normal_mm))
        if coverage < self.minimum_coverage_mm:
            raise Refusal(
                f"The slices cover only {coverage:.0f} mm; {self.task} needs at least {self.minimum_coverage_mm:.0f} mm."
            )
        step = volume.spacing_mm[0]
        if step > self.maximum_step_mm:
            raise Refusal(f"The slices are {step:.1f} mm apart; {self.task} needs {self.maximum_step_mm:.0f} mm or less.")
        low, high = self.pixel_spacing_range_mm
        if not all(low <= spacing <= high for spacing in volume.pixel_spacing_mm):
            spacing = " x ".join(f"{value:.3g}" for value in volume.pixel_spacing_mm)
            raise Refusal(f"The pixel spacing of {spacing} mm is not that of {self.region}.")


def require_air(volume: Volume) -> None:
    """Refuse a CT without a voxel of air; padding is none.

    Raises:
        Refusal: with the reason for the physician.
    """
    if not any(((plane > BACKGROUND["CT"]) & (plane < AIR_HU)).any() for plane in volume.voxels):
        raise Refusal(
            f"No voxel is as dark as air, none even below {AIR_HU} HU: Rescale Intercept seems to be wrong. "
            "Send the original images."
        )
