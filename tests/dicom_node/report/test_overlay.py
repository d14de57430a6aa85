"""The picture shows the segments in their colours, with the right sides, and names no patient."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicom_node.report.overlay import draw_overlay, render_overlay
from dicom_node.report.panels import side
from tests.reported_series import ReportedSeries, reported_series


def centre(picture: Image.Image, colour: tuple[int, int, int], columns: slice) -> float:
    """Mean column of the outline's colour within a part of the picture, above the legend."""
    pixels = np.asarray(picture)[:400, columns]
    return float(np.nonzero((pixels == colour).all(axis=2))[1].mean())


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ReportedSeries:
    return reported_series(tmp_path_factory.mktemp("axial"), slices=12)


def test_the_left_lung_is_drawn_where_left_is_written(case: ReportedSeries) -> None:
    left, right, _ = case.findings.segments
    picture = render_overlay(case.volume, case.findings)
    first_panel = slice(0, 430)
    assert centre(picture, left.colour_rgb, first_panel) > centre(picture, right.colour_rgb, first_panel)


@pytest.mark.parametrize("variant", ["feet_first", "one_slice", "tilted", "enhanced"])
def test_other_stacks_are_drawn_too(variant: str, tmp_path: Path) -> None:
    case = reported_series(tmp_path / "source", variant, slices=8)
    draw_overlay(case.volume, case.findings, tmp_path / "overlay.png")
    with Image.open(tmp_path / "overlay.png") as picture:
        assert picture.size[0] > 400
        assert not picture.info


def test_a_picture_without_segments_gives_the_reason(case: ReportedSeries) -> None:
    nothing = replace(case.findings, segments=(), reason="Nothing was found.")
    assert render_overlay(case.volume, nothing).size[1] > 400


@pytest.mark.parametrize(
    ("direction", "letter"),
    [((1, 0, 0), "L"), ((-1, 0.2, 0), "R"), ((0, 1, 0), "P"), ((0, -1, 0), "A"), ((0, 0.1, 1), "H"), ((0, 0, -1), "F")],
)
def test_sides_are_of_the_patient(direction: tuple[float, float, float], letter: str) -> None:
    assert side(np.array(direction)) == letter
