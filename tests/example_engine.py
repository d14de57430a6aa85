"""An engine in one file, as a site would add it: the air inside the patient, by a threshold. Small, quick, without a model."""

import hashlib
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy import ndimage

from engine.api import Context, EngineInfo, Refusal
from engine.findings import Algorithm, Code, Findings, Outcome, Segment
from engine.volume import Volume

STRUCTURE = Code("91723000", "SCT", "Anatomical structure")
LUNG = Code("39607008", "SCT", "Lung")
BELOW_HU = -400


class BodyAir:
    """Marks voxels below -400 HU that do not reach the border of their slice."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="body-air",
        title="air in the body",
        content_label="BODY_AIR",
        modalities=("CT",),
        finding_category=STRUCTURE,
        finding_type=LUNG,
        procedure_reported=Code("25045-6", "LN", "CT unspecified body region"),
    )

    def __init__(self, context: Context) -> None:
        self._minimum_ml = float(context.options.get("minimum_ml", 100.0))

    def algorithm(self) -> Algorithm:
        digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        return Algorithm(self.info.name, "1.0.0", "dicom-node", digest, "CPU", f"minimum {self._minimum_ml:g} ml")

    def analyse(self, volume: Volume) -> Findings:
        if volume.modality != "CT":
            raise Refusal(f"Modality is {volume.modality}: air is measured on CT only.")
        mask = np.stack([_inside(plane < BELOW_HU) for plane in volume.voxels])
        if volume.volume_ml(mask) < self._minimum_ml:
            return Findings(
                self.algorithm(),
                Outcome.NOTHING_FOUND,
                finding_category=STRUCTURE,
                finding_type=LUNG,
                reason="No air in the body.",
            )
        return Findings(self.algorithm(), Outcome.FINDINGS, (Segment("air", "Air", mask, STRUCTURE, LUNG),), STRUCTURE, LUNG)


def _inside(air: np.ndarray) -> np.ndarray:
    labels, _ = ndimage.label(air)
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return air & ~np.isin(labels, border)
