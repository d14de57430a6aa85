"""Brain tumour on FLAIR, with or without a T1 with contrast agent of the same study."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn import functional

from engine.api import Context, EngineInfo, Refusal
from engine.catalog._brain_intensity import relative_to_brain
from engine.catalog._brain_regions import MINIMUM_FOCUS_ML, Regions, bright_surface_share, find_regions
from engine.catalog._brain_sequence import require_head_flair, why_no_contrast_t1
from engine.clock import Clock
from engine.findings import Algorithm, Code, Findings, Outcome, Segment
from engine.models import algorithm_of
from engine.resampling import CanonicalGrid, canonical_grid, to_canonical, to_source
from engine.sliding_window import STRIDE
from engine.volume import Volume
from engine.warm_network import WarmNetwork

DEFAULT_PACKAGE = Path(__file__).parent.parent / "packages" / "brain_tumor"
CONTRAST_T1 = "t1c"
MINIMUM_BRAIN_ML = 250.0
MAXIMUM_BRAIN_ML = 2500.0
WHOLE_BRAIN_ML = 800.0
MAXIMUM_TUMOUR_SHARE = 0.4
MAXIMUM_BRIGHT_SURFACE = 0.12
"""Share of the brain's surface layer: fluid in the sulci makes it about 0.2 on T2; 40 synthetic FLAIR images reach 0.03."""
MINIMUM_SHARED = 0.6
"""Share of the head on FLAIR that the companion must show too."""
HEAD_LEVEL = 0.3
"""Of the brain's value: what is brighter belongs to the head."""

_CATEGORY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
_NEOPLASM = Code("108369006", "SCT", "Neoplasm")
_ENHANCING = Code("C113842", "NCIt", "Enhancing Lesion")
_NON_ENHANCING = Code("C81175", "NCIt", "Non-Enhancing Lesion")
_BRAIN = Code("12738006", "SCT", "Brain")


@dataclass(frozen=True)
class _Companion:
    """The contrast T1 on the network's grid, or why there is none."""

    image: Float32[Tensor, "slices rows columns"] | None
    remarks: tuple[str, ...] = ()


class BrainTumor:
    """Segments a tumour with its oedema; with a contrast T1 also what of it enhances."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="brain-tumor",
        title="brain tumour detection",
        content_label="BRAIN TUMOUR",
        modalities=("MR",),
        finding_category=_CATEGORY,
        finding_type=_NEOPLASM,
        procedure_reported=Code("25056-3", "LN", "MRI unspecified body region"),
        roles=(CONTRAST_T1,),
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
            parameters=f"mean of the image and its mirror image; foci from {MINIMUM_FOCUS_ML} ml; border half way to the brain",
        )

    def analyse(self, volume: Volume) -> Findings:
        """The tumour on a FLAIR series alone.

        Raises:
            Refusal: no FLAIR of a head, or too few, too thick or too coarse slices.
        """
        return self.analyse_with(volume, {})

    def analyse_with(self, volume: Volume, companions: Mapping[str, Volume]) -> Findings:
        """The tumour on the grid of the FLAIR series `volume`; the companion "t1c" shows what enhances.

        Raises:
            Refusal: as for `analyse`.
        """
        remarks = [*volume.remarks, *require_head_flair(volume)]
        clock = Clock()
        self._context.progress("resample", 0.0)
        grid = canonical_grid(volume, self._network.metadata.spacing_mm)
        flair = relative_to_brain(to_canonical(volume, grid, 0.0))
        companion = _companion(companions.get(CONTRAST_T1), flair, grid)
        clock.lap("resample")
        self._context.progress("network", 0.2)
        both = None if companion.image is None else self._logits(flair, companion.image)
        regions = find_regions(self._logits(flair, None), flair, grid.voxel_ml, both)
        clock.lap("network")
        require_brain(regions)
        require_dark_fluid(regions, flair)
        self._context.progress("borders", 0.7)
        if not regions.foci_ml:
            return self._nothing(clock, [*remarks, *companion.remarks, *_remarks(regions)])
        whole, enhancing = _masks(volume, grid, regions)
        clock.lap("borders")
        segments = _segments(whole, enhancing if companion.image is not None else None)
        self._context.progress("done", 1.0)
        return self._findings(Outcome.FINDINGS, clock, [*remarks, *companion.remarks, *_remarks(regions)], segments=segments)

    def _logits(
        self, flair: Float32[Tensor, "slices rows columns"], contrast_t1: Float32[Tensor, "slices rows columns"] | None
    ) -> Float32[Tensor, "classes slices rows columns"]:
        """Mean of what the network says of the head and of its mirror image; zeros stand for a missing contrast T1."""
        metadata = self._network.metadata
        second = torch.zeros_like(flair) if contrast_t1 is None else metadata.intensity(contrast_t1)
        image = torch.stack([metadata.intensity(flair), second])
        padding = [amount for size in reversed(flair.shape) for amount in (0, -size % STRIDE)]
        air = [float(metadata.intensity(torch.zeros(()))), float(second.min())]
        padded = torch.stack([functional.pad(part, padding, value=value) for part, value in zip(image, air, strict=True)])
        total = torch.zeros(())
        for mirrored in (False, True):
            seen = self._network.predict(padded.flip(-1) if mirrored else padded, outside=air[0]).logits
            total = total + (seen.flip(-1) if mirrored else seen) / 2
        return total[:, : flair.shape[0], : flair.shape[1], : flair.shape[2]]

    def _nothing(self, clock: Clock, remarks: list[str]) -> Findings:
        reason = f"No tumour of {MINIMUM_FOCUS_ML} ml or more was found in the brain shown."
        return self._findings(Outcome.NOTHING_FOUND, clock, remarks, reason=reason)

    def _findings(
        self, outcome: Outcome, clock: Clock, remarks: list[str], *, segments: tuple[Segment, ...] = (), reason: str = ""
    ) -> Findings:
        return Findings(
            algorithm=self.algorithm(),
            outcome=outcome,
            segments=segments,
            finding_category=_CATEGORY,
            finding_type=_NEOPLASM,
            reason=reason,
            remarks=tuple(remarks),
            timings_s=clock.timings_s,
        )


def require_brain(regions: Regions) -> None:
    """Refuse what turned out to be no brain, or a picture that the network cannot have understood.

    Raises:
        Refusal: with the reason for the physician.
    """
    if regions.brain_ml < MINIMUM_BRAIN_ML:
        raise Refusal(f"No brain in the field of view: {regions.brain_ml:.0f} ml of brain were found.")
    if regions.brain_ml > MAXIMUM_BRAIN_ML:
        raise Refusal(f"{regions.brain_ml:.0f} ml of brain were found, more than a head holds: this is no FLAIR of a head.")
    if regions.tumour_ml > MAXIMUM_TUMOUR_SHARE * regions.brain_ml:
        raise Refusal(
            f"{100 * regions.tumour_ml / regions.brain_ml:.0f} % of the brain looks like tumour, which is not plausible: "
            "the series may not be FLAIR, or be damaged."
        )


def require_dark_fluid(regions: Regions, flair: Float32[Tensor, "slices rows columns"]) -> None:
    """Refuse an image on which fluid is bright.

    Raises:
        Refusal: with the reason for the physician.
    """
    share = bright_surface_share(regions, flair)
    if share > MAXIMUM_BRIGHT_SURFACE:
        raise Refusal(
            f"Fluid is bright: {100 * share:.0f} % of the brain's surface is. Brain tumour detection needs FLAIR, not T2."
        )


def _companion(volume: Volume | None, flair: Float32[Tensor, "slices rows columns"], grid: CanonicalGrid) -> _Companion:
    if volume is None:
        return _Companion(None)
    reason = why_no_contrast_t1(volume)
    if not reason:
        image = relative_to_brain(to_canonical(volume, grid, 0.0))
        head = flair > HEAD_LEVEL
        shared = float((image[head] > HEAD_LEVEL / 2).float().mean()) if bool(head.any()) else 0.0
        if shared >= MINIMUM_SHARED:
            return _Companion(image, _unsaid_contrast(volume))
        reason = f"it shows only {100 * shared:.0f} % of the head that FLAIR shows"
    return _Companion(None, (f"The contrast T1 was not used: {reason}.",))


def _unsaid_contrast(volume: Volume) -> tuple[str, ...]:
    if volume.sequence is not None and volume.sequence.contrast_agent:
        return ()
    return ("The header of the T1 names no contrast agent; what is called enhancing rests on there having been one.",)


def _masks(
    volume: Volume, grid: CanonicalGrid, regions: Regions
) -> tuple[Bool[np.ndarray, "slices rows columns"], Bool[np.ndarray, "slices rows columns"]]:
    """Tumour and its enhancing part on the source grid."""
    whole, enhancing = np.zeros(volume.voxels.shape, bool), np.zeros(volume.voxels.shape, bool)
    for part, values in to_source(regions.fields, grid, volume):
        whole[part] = (values[0] > 0).numpy()
        enhancing[part] = (values[1] > 0).numpy()
    if volume.padded is not None:
        whole[volume.padded] = False
    return whole, enhancing & whole


def _segments(
    whole: Bool[np.ndarray, "slices rows columns"], enhancing: Bool[np.ndarray, "slices rows columns"] | None
) -> tuple[Segment, ...]:
    segments = [_segment("tumour", "Tumour with oedema", whole, _NEOPLASM, (230, 60, 60))]
    if enhancing is not None:
        rest = whole & ~enhancing
        segments += [
            _segment("enhancing", "Enhancing part of tumour", enhancing, _ENHANCING, (250, 210, 60)),
            _segment("non-enhancing", "Oedema and non-enhancing tumour", rest, _NON_ENHANCING, (80, 170, 230)),
        ]
    return tuple(segment for segment in segments if segment.mask.any())


def _segment(
    key: str, label: str, mask: Bool[np.ndarray, "slices rows columns"], kind: Code, colour_rgb: tuple[int, int, int]
) -> Segment:
    return Segment(
        key=key,
        label=label,
        mask=mask,
        category=_CATEGORY,
        property_type=kind,
        anatomic_region=_BRAIN,
        colour_rgb=colour_rgb,
    )


def _remarks(regions: Regions) -> list[str]:
    remarks = []
    if regions.brain_ml < WHOLE_BRAIN_ML:
        remarks.append(f"Only {regions.brain_ml:.0f} ml of brain were found: the series may not show the whole brain.")
    if len(regions.foci_ml) > 1:
        remarks.append(f"{len(regions.foci_ml)} separate foci: {', '.join(f'{each:.1f}' for each in regions.foci_ml)} ml.")
    return remarks
