"""An engine for projection images whose answer is known: how bright an image is, up to the package's own gain.

A package may also refuse what is brighter than it allows, and call its classes otherwise.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from engine.api import Context, EngineInfo, Refusal
from engine.findings import Algorithm, Code, Findings, ImageFinding, Measurement, Outcome
from engine.projection import ProjectionImage

FINDING = Code("404684003", "SCT", "Clinical finding")
NO_UNITS = Code("1", "UCUM", "no units")


class Brightness:
    info: ClassVar[EngineInfo] = EngineInfo(
        name="brightness",
        title="brightness",
        content_label="BRIGHTNESS",
        modalities=("DX",),
        finding_category=FINDING,
        finding_type=FINDING,
        procedure_reported=Code("43468-8", "LN", "XR unspecified body region"),
    )

    def __init__(self, context: Context) -> None:
        package = context.options.get("package")
        self._gain = float((Path(package) / "gain").read_text()) if package else 1.0
        limit = Path(package) / "brightest" if package else None
        self._brightest = float(limit.read_text()) if limit and limit.exists() else math.inf
        names = Path(package) / "classes" if package else None
        self._classes = names.read_text().split() if names and names.exists() else ["dark", "bright"]

    def algorithm(self) -> Algorithm:
        return Algorithm("brightness", f"{self._gain:g}", "dicom-node", "0" * 64, "CPU")

    def analyse_images(self, images: Sequence[ProjectionImage]) -> Findings:
        if any(image.modality != "DX" for image in images):
            raise Refusal("Brightness needs DX.")
        if any(image.pixels.max() > self._brightest for image in images):
            raise Refusal("The image is too bright.")
        found = tuple(self._finding(image, number) for number, image in enumerate(images))
        return Findings(self.algorithm(), Outcome.FINDINGS, images=found)

    def _finding(self, image: ProjectionImage, number: int) -> ImageFinding:
        bright = float(np.clip(0.5 + self._gain * (image.pixels.mean() / 255 - 0.5), 0, 1))
        shares = dict(zip(self._classes, (1 - bright, bright), strict=True))
        measurements = tuple(
            Measurement(Code(name, "99TEST", f"Probability of {name}"), share, NO_UNITS) for name, share in shares.items()
        )
        return ImageFinding(f"image-{number + 1}", "Image", number, FINDING, FINDING, measurements)
