"""An engine whose answer is known: it finds bright balls, and draws them as much too large as its package says."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy import ndimage

from engine.api import Context, EngineInfo, Refusal
from engine.findings import Algorithm, Code, Findings, Measurement, Outcome, Segment
from engine.volume import Volume

STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
BALL = Code("52988006", "SCT", "Lesion")
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
PERCENT = Code("%", "UCUM", "Percent")


class BallFinder:
    info: ClassVar[EngineInfo] = EngineInfo(
        name="ball-finder",
        title="ball finder",
        content_label="BALLS",
        modalities=("CT",),
        finding_category=STRUCTURE,
        finding_type=BALL,
        procedure_reported=Code("25045-6", "LN", "CT unspecified body region"),
    )

    def __init__(self, context: Context) -> None:
        package = context.options.get("package")
        self._growth = int((Path(package) / "growth").read_text()) if package else 0

    def algorithm(self) -> Algorithm:
        return Algorithm("balls", f"1.0.{self._growth}", "dicom-node", f"{self._growth:064d}", "CPU", "above 50 HU")

    def analyse(self, volume: Volume) -> Findings:
        if volume.modality != "CT":
            raise Refusal(f"The ball finder needs CT; this series is {volume.modality}.")
        bright = volume.voxels > 50
        if not bright.any():
            return Findings(self.algorithm(), Outcome.NOTHING_FOUND, (), STRUCTURE, BALL, "No ball.")
        if self._growth:
            bright = ndimage.binary_dilation(bright, iterations=self._growth)
        parts, number = ndimage.label(bright)
        segments = tuple(self._segment(volume, parts == index, index) for index in range(1, number + 1))
        return Findings(self.algorithm(), Outcome.FINDINGS, segments, STRUCTURE, BALL)

    def _segment(self, volume: Volume, mask: np.ndarray, index: int) -> Segment:
        certainty = Measurement(CERTAINTY, float(volume.voxels[mask].max()) / 10, PERCENT)
        return Segment(f"ball-{index}", f"Ball {index}", mask, STRUCTURE, BALL, measurements=(certainty,))
