"""Real files for engines of projection images: one radiograph, and what is none."""

from pathlib import Path
from typing import Any

import pytest

from engine.api import Refusal
from engine.reading import read_images
from tests.real_data import RealData
from training.evaluation.run import REFUSED

ARCHIVE, FOLDER = "odd_and_interop", "odd_dev"
FILES = {
    "radiograph-dx": ("a small radiograph (DX); no label", "seg_sr/highdicom__dx_image.dcm", None),
    "slice-ct": ("a slice of a CT", "seg_sr/highdicom__ct_image.dcm", False),
    "phantom-mr": ("enhanced MR of a QA phantom", "enhanced/dcm_qa_enh__6_1.dcm", False),
}
"""Case -> what it shows, file, and whether it should be analysed (None: either)."""


def projection_lines(engine: Any, data: RealData) -> list[dict[str, Any]]:
    """Case, content, outcome, whether that was expected, and what was said."""
    try:
        folder = data.folder(ARCHIVE) / FOLDER
    except pytest.skip.Exception as missing:
        return [_line(case, "missing", None, str(missing)) for case in FILES]
    return [_line(case, *_answer(engine, folder / file, wanted=wanted)) for case, (_, file, wanted) in FILES.items()]


def _answer(engine: Any, path: Path, *, wanted: bool | None) -> tuple[str, bool | None, str]:
    try:
        findings = engine.analyse_images(read_images([path]))
    except Refusal as refusal:
        return REFUSED, None if wanted is None else not wanted, str(refusal)
    said = "; ".join(image.label for image in findings.images)
    return findings.outcome.value, wanted, said


def _line(case: str, outcome: str, as_expected: bool | None, said: str) -> dict[str, Any]:  # noqa: FBT001 - None is an answer
    return {"case": case, "content": FILES[case][0], "outcome": outcome, "as_expected": as_expected, "said": said}
