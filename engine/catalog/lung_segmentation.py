"""Right and left lung on CT of the chest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from engine.api import Context, EngineInfo
from engine.catalog._lung_borders import LungZones, find_zones
from engine.catalog._lung_plausibility import MINIMUM_SEGMENT_ML, remarks, require_a_person, require_lungs
from engine.catalog._stack_limits import StackLimits, require_air
from engine.clock import Clock
from engine.findings import Algorithm, Code, Findings, Measurement, Outcome, Segment
from engine.models import algorithm_of
from engine.resampling import CanonicalGrid, canonical_grid, to_canonical, to_source
from engine.volume import Volume
from engine.warm_network import WarmNetwork

DEFAULT_PACKAGE = Path(__file__).parent.parent / "packages" / "lung_segmentation"
LIMITS = StackLimits(
    task="lung segmentation",
    modality="CT",
    region="a CT of a person",
    minimum_slices=10,
    minimum_coverage_mm=60.0,
    maximum_step_mm=10.0,
    pixel_spacing_range_mm=(0.1, 5.0),
)
OUTSIDE_HU = -1024.0
BACKGROUND_HANDICAP = 2.0
"""Taken from the background's logit: to find the lungs at all matters more here than their border, which the air draws."""
INSIDE_LEVEL = 0.7
"""Above a half, so that the coarse grid does not draw slivers of chest wall."""

_CATEGORY = Code("91723000", "SCT", "Anatomical Structure")
_LUNG = Code("39607008", "SCT", "Lung")
_ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
_HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
_MEAN = Code("373098007", "SCT", "Mean")


@dataclass(frozen=True, slots=True)
class _Side:
    key: str
    label: str
    laterality: Code
    colour_rgb: tuple[int, int, int]


_SIDES = {
    1: _Side("right-lung", "Right lung", Code("24028007", "SCT", "Right"), (224, 130, 60)),
    2: _Side("left-lung", "Left lung", Code("7771000", "SCT", "Left"), (70, 150, 220)),
}


class LungSegmentation:
    """Segments both lungs: without trachea and main bronchi, with vessels, nodules and consolidation inside."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="lung-segmentation",
        title="lung segmentation",
        content_label="LUNGS",
        modalities=("CT",),
        finding_category=_CATEGORY,
        finding_type=_LUNG,
        procedure_reported=Code("25045-6", "LN", "CT unspecified body region"),
    )

    def __init__(self, context: Context) -> None:
        """Load the weights.

        Options: `package`, the directory of another model package.

        Raises:
            engine.models.ModelPackageError: the package is damaged or changed.
        """
        self._context = context
        self._network = WarmNetwork.open(Path(context.options.get("package", DEFAULT_PACKAGE)), context)

    def algorithm(self) -> Algorithm:
        return algorithm_of(
            self._network.package,
            device=self._network.ran_on,
            parameters="border halfway between lung and soft tissue",
        )

    def analyse(self, volume: Volume) -> Findings:
        """Both lungs on the volume's own grid.

        Raises:
            Refusal: not a CT of a person, too few, too thick or too large slices, no air anywhere; no lungs, or only a part of
                them.
        """
        require_chest_ct(volume)
        clock = Clock()
        grid = canonical_grid(volume, self._network.metadata.spacing_mm)
        zones = self._find_zones(volume, grid, clock)
        labels = _draw_borders(volume, grid, zones, lambda share: self._context.progress("borders", share))
        clock.lap("borders")
        findings = self._describe(volume, labels, clock)
        self._context.progress("done", 1.0)
        return findings

    def _find_zones(self, volume: Volume, grid: CanonicalGrid, clock: Clock) -> LungZones:
        self._context.progress("resample", 0.0)
        hu = to_canonical(volume, grid, OUTSIDE_HU)
        require_a_person(hu.numpy())
        clock.lap("resample")
        self._context.progress("network", 0.2)
        logits = self._network.of_values(hu, OUTSIDE_HU)
        clock.lap("network")
        self._context.progress("zones", 0.5)
        logits[0] -= BACKGROUND_HANDICAP
        zones = find_zones(hu.numpy(), logits.argmax(0).to(torch.uint8).numpy(), grid.spacing_mm)
        clock.lap("zones")
        return zones

    def _describe(self, volume: Volume, labels: UInt8[np.ndarray, "slices rows columns"], clock: Clock) -> Findings:
        masks = {number: labels == number for number in _SIDES}
        volumes_ml = {number: volume.volume_ml(mask) for number, mask in masks.items()}
        clock.lap("volumes")
        require_lungs(volume, masks, volumes_ml)
        segments = tuple(
            _segment(volume, side, masks[number]) for number, side in _SIDES.items() if volumes_ml[number] >= MINIMUM_SEGMENT_ML
        )
        told = (*volume.remarks, *remarks(volume, masks, volumes_ml))
        clock.lap("measurements")
        return Findings(
            algorithm=self.algorithm(),
            outcome=Outcome.FINDINGS,
            segments=segments,
            finding_category=_CATEGORY,
            finding_type=_LUNG,
            remarks=told,
            timings_s=clock.timings_s,
        )


def require_chest_ct(volume: Volume) -> None:
    """Refuse what the engine was not made for.

    Raises:
        Refusal: with the reason for the physician.
    """
    LIMITS.require(volume)
    require_air(volume)


def _draw_borders(
    volume: Volume, grid: CanonicalGrid, zones: LungZones, progress: Callable[[float], None]
) -> UInt8[np.ndarray, "slices rows columns"]:
    """Labels on the source grid: air within a zone, and whatever lies inside a closed lung."""
    labels = np.zeros(volume.voxels.shape, np.uint8)
    if not zones.inside.any():
        return labels
    field = torch.from_numpy(np.stack([zones.allowed, zones.inside, zones.side]))
    for part, values in to_source(field, grid, volume):
        air = torch.from_numpy(volume.voxels[part]) < zones.border_hu
        lung = (air & (values[0] > 0.5)) | (values[1] > INSIDE_LEVEL)
        labels[part] = torch.where(lung, torch.where(values[2] > 0, 2, 1), 0).to(torch.uint8).numpy()
        progress(0.7 + 0.3 * part.stop / len(labels))
    if volume.padded is not None:
        labels[volume.padded] = 0
    return labels


def _segment(volume: Volume, side: _Side, mask: Bool[np.ndarray, "slices rows columns"]) -> Segment:
    mean_hu = float(volume.voxels[mask].mean(dtype=np.float64))
    return Segment(
        key=side.key,
        label=side.label,
        mask=mask,
        category=_CATEGORY,
        property_type=_LUNG,
        laterality=side.laterality,
        colour_rgb=side.colour_rgb,
        measurements=(Measurement(_ATTENUATION, mean_hu, _HOUNSFIELD, _MEAN),),
    )
