"""What a radiologist sees of the results in OHIF, over Orthanc's DICOMweb."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.browser.case import Case, Measurement, largest_slices, measurements, synthetic_case
from tests.browser.npm import Programs
from tests.browser.ohif import viewer
from tests.conformance.judges import judge
from tests.pacs_servers import orthanc

pytestmark = pytest.mark.orthanc
OUTLINE_TOLERANCE_PX = 4.0  # of the screen; a pixel of the image is one to four of them
SYNTHETIC = ("tilted", "descending")


def open_report(programs: Programs, case: Case, directory: Path) -> Any:
    """What OHIF shows at each measurement of the report; pictures of it stay in the directory."""
    report = case.result("SR")
    with orthanc(directory / "orthanc", dicomweb=True) as pacs:
        for path in case.files():
            pacs.rest.upload(path)
        with viewer(programs, pacs.rest) as address:
            count = str(len(measurements(report)))
            return programs.run("report.mjs", address, str(report.StudyInstanceUID), count, str(directory / "shown"))


def on_page(viewport: Mapping[str, float], measured: Measurement, header: Dataset) -> tuple[float, ...]:
    """Left, right, top and bottom of the outline on the page: OHIF fits the image into the viewport and centres it."""
    row_mm, column_mm = map(float, header.PixelSpacing)
    per_mm = min(viewport["width"] / (header.Columns * column_mm), viewport["height"] / (header.Rows * row_mm))
    middle_x, middle_y = viewport["x"] + viewport["width"] / 2, viewport["y"] + viewport["height"] / 2
    across = [middle_x + (column - header.Columns / 2) * column_mm * per_mm for column in measured.columns]
    down = [middle_y + (row - header.Rows / 2) * row_mm * per_mm for row in measured.rows]
    return (*across, *down)


def is_outlined(step: Any, measured: Measurement, header: Dataset) -> bool:
    expected = on_page(step["viewport"], measured, header)
    drawn = [(o["x"], o["x"] + o["width"], o["y"], o["y"] + o["height"]) for o in step["outlines"]]
    return any(expected == pytest.approx(sides, abs=OUTLINE_TOLERANCE_PX) for sides in drawn)


def check_report(page: Any, case: Case) -> None:
    """Every measurement is shown with its volume and outline, on the slice where its segment is largest."""
    assert page["errors"] == []
    assert str(case.result("SR").SeriesDescription) in page["listed"]
    headers, largest, found = case.headers(), largest_slices(case.result("SEG")), measurements(case.result("SR"))
    assert sorted(m.label for m in found) == sorted(largest)
    for measured, step in zip(found, page["steps"], strict=True):
        assert measured.sop_instance_uid in largest[measured.label]
        header = headers[measured.sop_instance_uid]
        assert step["instance"] == str(header.InstanceNumber)
        volumes_ml = [float(v) for text in step["text"] for v in re.findall(r"Volume: ([\d.]+) ml", text)]
        assert any(measured.volume_ml == pytest.approx(v, abs=0.0051) for v in volumes_ml)
        assert is_outlined(step, measured, header)


def check_segments(case: Case) -> None:
    verdict = judge(case.source, case.results, only="viewer", viewer=True)
    left_out = [line for line in verdict.text.splitlines() if line.startswith("not run")]
    if left_out:
        pytest.skip(left_out[0])
    assert verdict.accepted, verdict.text


@pytest.mark.judges
def test_segments_of_a_chest_ct_are_listed_and_coloured_where_they_are(chest_case: Case) -> None:
    check_segments(chest_case)


def test_the_report_of_a_chest_ct_jumps_to_the_largest_slice_of_each_lung(
    programs: Programs, chest_case: Case, tmp_path: Path
) -> None:
    page = open_report(programs, chest_case, tmp_path)
    check_report(page, chest_case)
    labels = [m.label for m in measurements(chest_case.result("SR"))]
    left_sides = {label: step["outlines"][0]["x"] for label, step in zip(labels, page["steps"], strict=True)}
    assert left_sides["Right lung"] < left_sides["Left lung"]  # seen from the feet


@pytest.mark.slow
@pytest.mark.judges
@pytest.mark.parametrize("variant", SYNTHETIC)
def test_segments_are_coloured_where_they_are_in_other_geometries(variant: str, tmp_path: Path) -> None:
    check_segments(synthetic_case(tmp_path, variant))


@pytest.mark.slow
@pytest.mark.parametrize("variant", SYNTHETIC)
def test_the_report_jumps_to_the_largest_slices_in_other_geometries(programs: Programs, variant: str, tmp_path: Path) -> None:
    case = synthetic_case(tmp_path, variant)
    check_report(open_report(programs, case, tmp_path), case)
