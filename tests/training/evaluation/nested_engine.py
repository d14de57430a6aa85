"""An engine that is always right, with one structure inside the other, as liver and lesion are: above 50 HU, above 150 HU."""

from typing import ClassVar

from engine.api import Context, EngineInfo
from engine.findings import Algorithm, Findings, Outcome, Segment
from engine.volume import Volume
from tests.training.evaluation.ball_engine import BALL, STRUCTURE, BallFinder


class Nested:
    info: ClassVar[EngineInfo] = EngineInfo(
        name="nested",
        title="nested structures",
        content_label="NESTED",
        modalities=("CT",),
        finding_category=STRUCTURE,
        finding_type=BALL,
        procedure_reported=BallFinder.info.procedure_reported,
    )

    def __init__(self, context: Context) -> None:
        self._keys = {str(context.options["outer"]): 50, str(context.options["inner"]): 150}

    def algorithm(self) -> Algorithm:
        return Algorithm("nested", "1.0", "dicom-node", "0" * 64, "CPU", "")

    def analyse(self, volume: Volume) -> Findings:
        segments = tuple(Segment(key, key, volume.voxels > level, STRUCTURE, BALL) for key, level in self._keys.items())
        return Findings(self.algorithm(), Outcome.FINDINGS, segments, STRUCTURE, BALL)
