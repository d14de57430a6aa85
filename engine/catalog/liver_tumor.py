"""Liver and focal liver lesions on CT of the abdomen."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy import ndimage
from torch import Tensor

from engine.api import Context, EngineInfo
from engine.catalog._liver_lesions import by_attenuation, credible, within_parenchyma
from engine.catalog._liver_report import LESION, LIVER, MORPHOLOGY, Answer, answer
from engine.catalog._liver_sense import require_abdomen_ct, why_no_liver
from engine.catalog._liver_shape import Liver, Surroundings, box_around, fine_grid, main_parts, refine, surroundings
from engine.clock import Clock
from engine.findings import Algorithm, Code, Findings, Outcome
from engine.models import joint_digest
from engine.resampling import canonical_grid, to_canonical, to_source
from engine.volume import Volume
from engine.warm_network import WarmNetwork

DEFAULT_PACKAGE = Path(__file__).parent.parent / "packages" / "liver_tumor"
LESION_FOLDER = "lesion"
"""Within the package of the liver, the one of the lesions."""
OUTSIDE_HU = -1024.0

Mask = Bool[np.ndarray, "slices rows columns"]


class LiverTumor:
    """Segments the liver first (without gallbladder and cava), then the lesions inside it."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="liver-tumor",
        title="liver lesions",
        content_label="LIVER_LESIONS",
        modalities=("CT",),
        finding_category=MORPHOLOGY,
        finding_type=LESION,
        procedure_reported=Code("25045-6", "LN", "CT unspecified body region"),
    )

    def __init__(self, context: Context) -> None:
        """Load the weights of both networks.

        Options: `package`, the directory of another model package, with that of the lesions in its folder `lesion`.

        Raises:
            engine.models.ModelPackageError: a package is damaged or changed.
        """
        self._context = context
        folder = Path(context.options.get("package", DEFAULT_PACKAGE))
        self._liver, self._lesion = (WarmNetwork.open(each, context) for each in (folder, folder / LESION_FOLDER))

    def algorithm(self) -> Algorithm:
        """The digest is that of both networks' digests, one after the other."""
        metadata = self._liver.metadata
        digests = [network.package.weights_digest for network in (self._liver, self._lesion)]
        return Algorithm(
            name="dicom-node liver lesions",
            version=metadata.version,
            manufacturer=metadata.authors,
            weights_digest=joint_digest(digests),
            device=self._liver.ran_on,
            parameters=f"liver at {metadata.spacing_mm[0]:g} mm, lesions at {self._lesion.metadata.spacing_mm[0]:g} mm",
        )

    def analyse(self, volume: Volume) -> Findings:
        """Liver and lesions on the volume's own grid.

        Raises:
            Refusal: not a CT, too few, too thick or too large slices, or values that are no HU.
        """
        require_abdomen_ct(volume)
        clock = Clock()
        found = self._find_liver(volume, clock)
        if found is None:
            return self._not_analysed("No liver in the field of view.", clock)
        liver, place = found
        lesions = self._find_lesions(liver, clock)
        masks = _to_full_resolution(volume, liver, lesions)
        clock.lap("borders")
        reason = why_no_liver(volume, masks[0], liver.level_hu, place)
        if reason:
            return self._not_analysed(reason, clock)
        told = answer(volume, masks[0], masks[1], liver.level_hu)
        clock.lap("measurements")
        self._context.progress("done", 1.0)
        return self._findings(told, clock)

    def _find_liver(self, volume: Volume, clock: Clock) -> tuple[Liver, Surroundings] | None:
        self._context.progress("resample", 0.0)
        coarse = canonical_grid(volume, self._liver.metadata.spacing_mm)
        hu = to_canonical(volume, coarse, OUTSIDE_HU)
        clock.lap("resample")
        self._context.progress("liver", 0.1)
        margin = _margin(self._liver.of_values(hu, OUTSIDE_HU))
        clock.lap("liver network")
        parts = main_parts(margin)
        if not parts.any():
            return None
        box = box_around(parts)
        grid = fine_grid(coarse, box, self._factor())
        liver = refine(margin, parts, box, grid, to_canonical(volume, grid, OUTSIDE_HU))
        place = surroundings(hu, parts, coarse.spacing_mm)
        clock.lap("liver surface")
        return (liver, place) if liver.mask.any() else None

    def _factor(self) -> int:
        """Fine voxels along a coarse one."""
        return max(1, round(self._liver.metadata.spacing_mm[0] / self._lesion.metadata.spacing_mm[0]))

    def _find_lesions(self, liver: Liver, clock: Clock) -> Float32[np.ndarray, "slices rows columns"]:
        """Probability minus a half where a credible lesion is, below zero elsewhere."""
        self._context.progress("lesions", 0.4)
        relative = torch.from_numpy(liver.hu - liver.level_hu)
        probability = torch.sigmoid(_margin(self._lesion.of_values(relative, OUTSIDE_HU - liver.level_hu))).numpy()
        probability[by_attenuation(liver.hu, liver.mask, liver.level_hu)] = 0.95
        clock.lap("lesion network")
        kept = within_parenchyma(credible(probability, liver.mask, liver.grid.voxel_ml), liver.hu, liver.level_hu)
        near = ndimage.binary_dilation(kept, iterations=1)
        self._context.progress("lesions", 0.7)
        return np.where(near, probability - 0.5, -0.5).astype(np.float32)

    def _findings(self, told: Answer, clock: Clock) -> Findings:
        return Findings(
            algorithm=self.algorithm(),
            outcome=Outcome.FINDINGS,
            segments=told.segments,
            finding_category=MORPHOLOGY,
            finding_type=LESION,
            remarks=told.remarks,
            evaluations=told.evaluations,
            timings_s=clock.timings_s,
        )

    def _not_analysed(self, reason: str, clock: Clock) -> Findings:
        return Findings(
            algorithm=self.algorithm(),
            outcome=Outcome.NOT_ANALYSED,
            finding_category=MORPHOLOGY,
            finding_type=LIVER,
            reason=reason,
            timings_s=clock.timings_s,
        )


def _margin(logits: Float32[Tensor, "2 slices rows columns"]) -> Float32[Tensor, "slices rows columns"]:
    """Second class minus first."""
    return logits[1] - logits[0]


def _to_full_resolution(volume: Volume, liver: Liver, lesions: Float32[np.ndarray, "slices rows columns"]) -> tuple[Mask, Mask]:
    """Masks of liver (lesions included) and lesions on the source grid."""
    whole = ndimage.binary_fill_holes(liver.mask | (lesions > 0))
    smooth = ndimage.gaussian_filter(whole.astype(np.float32), 0.7) - 0.5
    fields = torch.from_numpy(np.stack([np.maximum(smooth, lesions), lesions]))
    masks = np.zeros((2, *volume.voxels.shape), bool)
    for part, values in to_source(fields, liver.grid, volume):
        masks[:, part] = (values > 0).numpy()
    if volume.padded is not None:
        masks[:, volume.padded] = False
    return masks[0], masks[1]
