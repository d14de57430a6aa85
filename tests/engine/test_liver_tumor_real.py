"""The liver engine on real CTs; what it finds there is also shown by `make evaluate`."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own documentation's name

from engine.api import Context
from engine.catalog.liver_tumor import LiverTumor
from engine.findings import Outcome
from engine.reading import read_series
from training.evaluate import dice, volume_of

LIVER = 5
"""In the label map of TotalSegmentator."""


@pytest.fixture(scope="module")
def engine() -> LiverTumor:
    return LiverTumor(Context(device="cpu"))


def test_the_liver_of_an_abdomen_is_found_whole(engine: LiverTumor, abdomen_ct: Path) -> None:
    volume = read_series(sorted(abdomen_ct.iterdir()))
    findings = engine.analyse(volume)
    assert findings.outcome is Outcome.FINDINGS
    assert 1130 < volume.volume_ml(findings.segments[0].mask) < 1430


def test_the_liver_agrees_with_another_programs(engine: LiverTumor, small_extras: Path) -> None:
    folder = small_extras / "totalsegmentator"
    image, labels = (
        sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(folder / name), "LPS"))
        for name in ("example_ct.nii.gz", "example_seg_fast_force_split.nii.gz")
    )
    volume = volume_of(np.maximum(image, -1024).astype(np.int16), (3.0, 3.0, 3.0))
    liver = engine.analyse(volume).segments[0].mask
    assert dice(liver, labels == LIVER) > 0.87
    assert volume.volume_ml(liver) == pytest.approx(volume.volume_ml(labels == LIVER), rel=0.1)
