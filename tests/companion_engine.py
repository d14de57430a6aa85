"""An engine for two series of a study: what is bright, and what of it is brighter still on the other series."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.api import Context, EngineInfo
from engine.findings import Algorithm, Code, Explanation, Findings, Measurement, Outcome, Segment
from engine.volume import Volume

ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LESION = Code("52988006", "SCT", "Lesion")
NUMBER = Code("series", "99DCMNODE", "Number of series looked at")


class TwoSeries:
    """Marks the brightest voxels of its own series; with the companion also those that are bright there."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="two-series",
        title="bright in two series",
        content_label="TWO_SERIES",
        modalities=("MR",),
        finding_category=ABNORMAL,
        finding_type=LESION,
        procedure_reported=Code("25056-3", "LN", "MRI unspecified body region"),
        roles=("t1c",),
    )

    def __init__(self, context: Context) -> None:
        self._context = context

    def algorithm(self) -> Algorithm:
        return Algorithm(self.info.name, "1.0.0", "dicom-node", "ef" * 32, "CPU")

    def analyse_with(self, volume: Volume, companions: Mapping[str, Volume]) -> Findings:
        bright = volume.voxels > np.percentile(volume.voxels, 90)
        segments = [Segment("bright", "Bright", bright, ABNORMAL, LESION)]
        if "t1c" in companions:
            both = bright & (companions["t1c"].voxels > np.percentile(companions["t1c"].voxels, 95))
            segments.append(Segment("both", "Bright in both", both, ABNORMAL, LESION, colour_rgb=(255, 220, 0)))
        heat = bright[4:8, 10:30, 10:30].astype(np.float32)
        return Findings(
            self.algorithm(),
            Outcome.FINDINGS,
            tuple(segments),
            measurements=(Measurement(NUMBER, 1 + len(companions), Code("{series}", "UCUM", "series")),),
            explanations=(Explanation("bright", "Where it is bright", heat, (4, 10, 10)),),
        )
