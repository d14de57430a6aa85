"""What a radiologist sees of a SEG in VolView."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pydicom.dataset import Dataset

from tests.browser.case import synthetic_case
from tests.browser.npm import Programs
from tests.browser.volview import volview

LEAST_OVERLAP = 0.93  # intersection over union; of the left lung with the next slice it is 0.90
LEAST_COLOUR = 40  # difference between the channels; grey is anatomy


def mask_at(seg: Dataset, label: str, z_mm: float) -> np.ndarray:
    """A segment [row, column] on the slice at this height."""
    (number,) = (s.SegmentNumber for s in seg.SegmentSequence if label == s.SegmentLabel)
    mask = np.zeros((seg.Rows, seg.Columns), bool)
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        here = abs(float(groups.PlanePositionSequence[0].ImagePositionPatient[2]) - z_mm) < 0.01
        if here and number == groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber:
            mask |= frame > 0
    return mask


def overlap(picture: Path, view: Mapping[str, float], mask: np.ndarray, channel: int) -> float:
    """Of a mask of square pixels with the pixels in which red, green or blue (0, 1, 2) is strongest.

    VolView fits the slice into its view and centres it.
    """
    pixels = np.asarray(PIL.Image.open(picture).convert("RGB"), int)
    y, x = np.indices(pixels.shape[:2]) + 0.5
    scale = min(view["width"] / mask.shape[1], view["height"] / mask.shape[0])
    row = np.floor((y - view["y"] - view["height"] / 2) / scale + mask.shape[0] / 2).astype(int)
    column = np.floor((x - view["x"] - view["width"] / 2) / scale + mask.shape[1] / 2).astype(int)
    inside = (row >= 2) & (row < mask.shape[0] - 2) & (column >= 2) & (column < mask.shape[1] - 2)  # a frame marks the view
    expected = np.zeros(inside.shape, bool)
    expected[inside] = mask[row[inside], column[inside]]
    coloured = inside & (np.ptp(pixels, axis=2) > LEAST_COLOUR) & (pixels.argmax(axis=2) == channel)
    return float((coloured & expected).sum() / (coloured | expected).sum())


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["axial", "descending"])
def test_segments_are_listed_and_coloured_where_they_are(programs: Programs, variant: str, tmp_path: Path) -> None:
    case = synthetic_case(tmp_path, variant)
    with volview(programs, case, tmp_path / "site") as address:
        page = programs.run("volview.mjs", address, str(tmp_path / "shown.png"))
    assert page["errors"] == []
    seg = case.result("SEG")
    assert [s.SegmentLabel for s in seg.SegmentSequence if s.SegmentLabel not in page["text"]] == []
    shown = re.search(r"Slice: (\d+)/\d+\nW/L[^\n]*\nAxial", page["text"])
    assert shown
    heights_mm = sorted(float(d.ImagePositionPatient[2]) for d in case.headers().values())
    height_mm = heights_mm[int(shown[1]) - 1]
    for label, channel in (("Left lung", 2), ("Right lung", 1)):  # Recommended Display CIELab Value: blue and green
        mask = mask_at(seg, label, height_mm)
        assert overlap(tmp_path / "shown.png", page["view"], mask, channel) > LEAST_OVERLAP
