"""An engine for projection images: whether one holds a bright spot, and where it looked."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from scipy import ndimage

from engine.api import Context, EngineInfo
from engine.findings import Algorithm, Code, Evaluation, Explanation, Findings, ImageFinding, Measurement, Outcome
from engine.projection import ProjectionImage

ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
OPACITY = Code("125112009", "SCT", "Opacity")
PROBABILITY, PERCENT = Code("122157", "DCM", "Probability"), Code("%", "UCUM", "percent")
ANSWER = Code("spot", "99DCMNODE", "Bright spot")
LARGEST_SPOT, CERTAIN = 9, 1000.0


class BrightSpot:
    """Looks for a small spot that is brighter than what is around it."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="bright-spot",
        title="bright spot",
        content_label="BRIGHT_SPOT",
        modalities=("CR", "DX", "MG"),
        finding_category=ABNORMAL,
        finding_type=OPACITY,
        procedure_reported=Code("363679005", "SCT", "Imaging procedure"),
    )

    def __init__(self, context: Context) -> None:
        self._context = context

    def algorithm(self) -> Algorithm:
        return Algorithm(self.info.name, "1.0.0", "dicom-node", "cd" * 32, "CPU")

    def analyse_images(self, images: Sequence[ProjectionImage]) -> Findings:
        found, explained = [], []
        for index, image in enumerate(images):
            contrast = ndimage.white_tophat(ndimage.gaussian_filter(image.pixels, 1), size=(LARGEST_SPOT, LARGEST_SPOT))
            probability = float(np.clip(contrast.max() / CERTAIN, 0, 1) * 100)
            key, answer = f"image-{index + 1}", "present" if probability > 50 else "absent"
            number = Measurement(PROBABILITY, probability, PERCENT)
            judged = Evaluation(ANSWER, Code(answer, "99DCMNODE", answer))
            found.append(ImageFinding(key, f"Image {index + 1}", index, ABNORMAL, OPACITY, (number,), (judged,)))
            heat = (contrast.clip(0) / max(contrast.max(), 1)).astype(np.float32)[None]
            explained.append(Explanation(key, f"Contrast of image {index + 1}", heat, (index, 0, 0)))
        return Findings(self.algorithm(), Outcome.FINDINGS, images=tuple(found), explanations=tuple(explained))
