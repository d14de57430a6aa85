"""Right and left lung on CT of the chest."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from engine.api import Context, EngineInfo, Refusal
from engine.catalog._lung_borders import AIR_HU, LungZones, find_zones
from engine.findings import Algorithm, Code, Findings, Measurement, Outcome, Segment
from engine.geometry.words import count
from engine.models import load_package
from engine.reading.rescale import BACKGROUND
from engine.resampling import CanonicalGrid, canonical_grid, to_canonical, to_source
from engine.sliding_window import choose_device, predict
from engine.volume import Volume

DEFAULT_PACKAGE = Path(__file__).parent.parent / "packages" / "lung_segmentation"
MINIMUM_SLICES = 10
MINIMUM_COVERAGE_MM = 60.0
MAXIMUM_STEP_MM = 10.0
PIXEL_SPACING_RANGE_MM = (0.1, 5.0)
MINIMUM_LUNGS_ML = 300.0
MINIMUM_LUNG_ML = 100.0
BORDER_SHARE = 0.03
"""Share of a lung's largest slice area that, on the first or last slice, says that the scan cuts the lung."""
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


@dataclass
class _Clock:
    """Seconds per step."""

    timings_s: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.timings_s[step] = now - self.started
        self.started = now


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
        self._package = load_package(Path(context.options.get("package", DEFAULT_PACKAGE)))
        self._device = choose_device(context.device)
        self._network = self._package.network(self._device)
        self._ran_on = str(self._device)

    def algorithm(self) -> Algorithm:
        metadata = self._package.metadata
        return Algorithm(
            name=metadata.name,
            version=metadata.version,
            manufacturer=metadata.authors,
            weights_digest=self._package.weights_digest,
            device=self._ran_on,
            parameters=f"air below {AIR_HU} HU",
        )

    def analyse(self, volume: Volume) -> Findings:
        """Both lungs on the volume's own grid.

        Raises:
            Refusal: not a CT, too few, too thick or too large slices, or no air anywhere.
        """
        require_chest_ct(volume)
        clock = _Clock()
        grid = canonical_grid(volume, self._package.metadata.spacing_mm)
        zones = self._find_zones(volume, grid, clock)
        labels = _draw_borders(volume, grid, zones, lambda share: self._context.progress("borders", share))
        clock.lap("borders")
        findings = self._describe(volume, labels, clock)
        self._context.progress("done", 1.0)
        return findings

    def _find_zones(self, volume: Volume, grid: CanonicalGrid, clock: _Clock) -> LungZones:
        metadata = self._package.metadata
        self._context.progress("resample", 0.0)
        hu = to_canonical(volume, grid, OUTSIDE_HU)
        clock.lap("resample")
        self._context.progress("network", 0.2)
        outside = float(metadata.intensity(torch.tensor(OUTSIDE_HU)))
        prediction = predict(
            self._network, metadata.intensity(hu), outside=outside, context=metadata.context_voxels, device=self._device
        )
        self._ran_on = prediction.device
        clock.lap("network")
        self._context.progress("zones", 0.5)
        prediction.logits[0] -= BACKGROUND_HANDICAP
        zones = find_zones(hu.numpy(), prediction.logits.argmax(0).to(torch.uint8).numpy(), grid.spacing_mm)
        clock.lap("zones")
        return zones

    def _describe(self, volume: Volume, labels: UInt8[np.ndarray, "slices rows columns"], clock: _Clock) -> Findings:
        masks = {number: labels == number for number in _SIDES}
        volumes_ml = {number: volume.volume_ml(mask) for number, mask in masks.items()}
        clock.lap("volumes")
        total = sum(volumes_ml.values())
        if total < MINIMUM_LUNGS_ML:
            return self._findings(
                Outcome.NOTHING_FOUND, clock, reason=f"No lungs in the field of view: {total:.0f} ml of lung were found."
            )
        remarks = [*volume.remarks, *_remarks(volume, masks, volumes_ml)]
        segments = tuple(_segment(volume, side, masks[number]) for number, side in _SIDES.items() if volumes_ml[number] > 0)
        clock.lap("measurements")
        return self._findings(Outcome.FINDINGS, clock, segments=segments, remarks=tuple(remarks))

    def _findings(
        self,
        outcome: Outcome,
        clock: _Clock,
        *,
        segments: tuple[Segment, ...] = (),
        reason: str = "",
        remarks: tuple[str, ...] = (),
    ) -> Findings:
        return Findings(
            algorithm=self.algorithm(),
            outcome=outcome,
            segments=segments,
            finding_category=_CATEGORY,
            finding_type=_LUNG,
            reason=reason,
            remarks=remarks,
            timings_s=clock.timings_s,
        )


def require_chest_ct(volume: Volume) -> None:
    """Refuse what the engine was not made for.

    Raises:
        Refusal: with the reason for the physician.
    """
    if volume.modality != "CT":
        raise Refusal(f"Lung segmentation needs CT; this series is {volume.modality or 'of unknown modality'}.")
    slices = len(volume.voxels)
    if slices < MINIMUM_SLICES:
        raise Refusal(f"Only {count(slices, 'slice')}; lung segmentation needs at least {MINIMUM_SLICES}.")
    coverage = float(np.ptp(volume.along_normal_mm))
    if coverage < MINIMUM_COVERAGE_MM:
        raise Refusal(
            f"The slices cover only {coverage:.0f} mm; lung segmentation needs at least {MINIMUM_COVERAGE_MM:.0f} mm."
        )
    step = volume.spacing_mm[0]
    if step > MAXIMUM_STEP_MM:
        raise Refusal(f"The slices are {step:.1f} mm apart; lung segmentation needs {MAXIMUM_STEP_MM:.0f} mm or less.")
    low, high = PIXEL_SPACING_RANGE_MM
    if not all(low <= spacing <= high for spacing in volume.pixel_spacing_mm):
        spacing = " x ".join(f"{value:.3g}" for value in volume.pixel_spacing_mm)
        raise Refusal(f"The pixel spacing of {spacing} mm is not that of a CT of a person.")
    if not _shows_air(volume):
        raise Refusal(
            f"No voxel is as dark as air, none even below {AIR_HU} HU: Rescale Intercept seems to be wrong. "
            "Send the original images."
        )


def _shows_air(volume: Volume) -> bool:
    """Whether any voxel is air; padding is none."""
    return any(((plane > BACKGROUND["CT"]) & (plane < AIR_HU)).any() for plane in volume.voxels)


def _draw_borders(
    volume: Volume, grid: CanonicalGrid, zones: LungZones, progress: Callable[[float], None]
) -> UInt8[np.ndarray, "slices rows columns"]:
    """Labels on the source grid: air within a zone, and whatever lies inside a closed lung."""
    labels = np.zeros(volume.voxels.shape, np.uint8)
    if not zones.inside.any():
        return labels
    field = torch.from_numpy(np.stack([zones.allowed, zones.inside, zones.side]))
    for part, values in to_source(field, grid, volume):
        air = torch.from_numpy(volume.voxels[part]) < AIR_HU
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


def _remarks(
    volume: Volume, masks: dict[int, Bool[np.ndarray, "slices rows columns"]], volumes_ml: dict[int, float]
) -> list[str]:
    remarks = []
    for number, side in _SIDES.items():
        if volumes_ml[number] < MINIMUM_LUNG_ML:
            remarks.append(
                f"{side.label}: only {volumes_ml[number]:.0f} ml found; collapsed, removed, outside the scan or missed."
            )
        elif _is_cut(masks[number]):
            remarks.append(f"{side.label}: not wholly within the scan; its volume is that of the part shown.")
    if all(volume_ml >= MINIMUM_LUNG_ML for volume_ml in volumes_ml.values()):
        right_x, left_x = (_centre_x_mm(volume, masks[number]) for number in (1, 2))
        if right_x >= left_x:
            remarks.append("The lungs' sides are implausible: check right and left against the images.")
    return remarks


def _is_cut(mask: Bool[np.ndarray, "slices rows columns"]) -> bool:
    """Whether the lung reaches the first or last slice, row or column with more than a trace."""
    for axis in range(3):
        other = tuple(index for index in range(3) if index != axis)
        areas = np.count_nonzero(mask, axis=other)
        if max(areas[0], areas[-1]) > BORDER_SHARE * areas.max():
            return True
    return False


def _centre_x_mm(volume: Volume, mask: Bool[np.ndarray, "slices rows columns"]) -> float:
    """LPS x of the mask's centre of mass."""
    centres = [
        np.average(np.arange(count), weights=np.count_nonzero(mask, axis=tuple(index for index in range(3) if index != axis)))
        for axis, count in enumerate(mask.shape)
    ]
    return float((volume.affine @ np.array([*centres, 1.0]))[0])
