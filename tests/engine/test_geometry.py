"""Stack geometry on plain numbers."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.geometry import DropReason, SlicePlane, StackReport, examine

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def plane(number: int, z: float, *, x: float = -100.0, y: float = -100.0, **changes: Any) -> SlicePlane:
    values: dict[str, Any] = {
        "sop_instance_uid": f"1.2.{number:05d}",
        "frame_number": None,
        "position": (x, y, float(z)),
        "orientation": AXIAL,
        "pixel_spacing": (0.8, 0.8),
        "rows": 512,
        "columns": 512,
        "frame_of_reference_uid": "1.3",
    }
    return SlicePlane(**(values | changes))


def stack(heights: Iterable[float]) -> list[SlicePlane]:
    return [plane(number, z) for number, z in enumerate(heights)]


def problem_of(planes: Sequence[SlicePlane]) -> str:
    problem = examine(planes).problem
    assert problem is not None
    return problem


def step_of(report: StackReport) -> float | None:
    assert report.geometry is not None
    return report.geometry.step_mm


def test_an_even_stack_has_no_remarks() -> None:
    report = examine(stack(np.arange(40) * 2.5))
    assert report.problem is None
    assert report.remarks == ()
    assert step_of(report) == pytest.approx(2.5)


@given(st.permutations(range(12)))
def test_the_order_of_the_input_has_no_influence(order: list[int]) -> None:
    planes = [*stack(range(10)), plane(50, 3), plane(60, 0.0, localizer=True)]
    shuffled = examine([planes[index] for index in order])
    plain = examine(planes)
    assert shuffled.kept == plain.kept
    assert shuffled.dropped == plain.dropped
    assert shuffled.remarks == plain.remarks


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.3, 8), st.integers(2, 40))
def test_a_rotated_stack_is_as_whole_as_an_axial_one(around_x: float, around_z: float, step: float, slices: int) -> None:
    cx, sx, cz, sz = np.cos(around_x), np.sin(around_x), np.cos(around_z), np.sin(around_z)
    rotation = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    orientation = tuple(np.round(rotation[:, :2].T.ravel(), 6).tolist())
    planes = [
        plane(number, 0, position=tuple(np.round(rotation @ [5, 6, number * step], 5).tolist()), orientation=orientation)
        for number in range(slices)
    ]
    report = examine(planes[::-1])
    assert report.problem is None
    assert report.remarks == ()
    assert report.kept == tuple(planes)


def test_a_lone_slice_is_a_stack() -> None:
    report = examine(stack([7]))
    assert report.problem is None
    assert step_of(report) is None


def test_a_missing_slice_is_remarked_with_its_place() -> None:
    report = examine(stack([z for z in range(0, 100, 5) if z != 50]))
    assert report.problem is None
    assert report.missing_count == 1
    assert report.gaps[0].after_mm == 45
    assert "10.0 mm without a slice after (-100.0, -100.0, 45.0) mm" in report.remarks[0]


@pytest.mark.parametrize("lost", [range(20, 40), (5, 10, 15, 20), range(30, 34)])
def test_many_missing_slices_are_a_problem(lost: Collection[int]) -> None:
    planes = stack([z for z in range(80) if z not in lost])
    assert "missing" in problem_of(planes)
    assert examine(planes).missing_count == len(lost)


def test_half_of_the_slices_lost_at_random_is_a_problem() -> None:
    kept = np.random.default_rng(3).permutation(120)[:60]
    assert "missing" in problem_of(stack(np.sort(kept)))


def test_a_gap_wider_than_15_mm_is_a_problem_even_if_one_slice_would_fill_it() -> None:
    assert "missing" in problem_of(stack([0, 10, 20, 40, 50, 60]))


def test_a_region_scanned_more_densely_is_uneven_and_no_gap() -> None:
    report = examine(stack([*range(0, 50, 5), *range(50, 80), *range(80, 120, 5)]))
    assert report.problem is None
    assert report.missing_count == 0
    assert report.remarks == ("Unevenly spaced slices: 1.00 to 5.00 mm apart.",)


def test_a_gap_within_an_uneven_stack_is_found() -> None:
    report = examine(stack([z for z in (*range(0, 50, 5), *range(50, 80)) if z != 65]))
    assert [gap.missing for gap in report.gaps] == [1]


def test_gantry_tilt_is_remarked() -> None:
    tilted = [plane(number, number * 3, y=-100 - number * 3 * np.tan(np.radians(12))) for number in range(20)]
    report = examine(tilted)
    assert report.problem is None
    assert report.remarks == ("Gantry tilt: the slices are sheared by 12.0 degrees.",)


def test_slices_shifted_sideways_are_a_problem() -> None:
    shifted = [plane(number, number * 3, x=-100 + 30 * (number > 10)) for number in range(20)]
    assert "shifted sideways" in problem_of(shifted)


def test_interleaved_acquisitions_are_a_problem() -> None:
    assert "acquisitions" in problem_of(stack(np.sort([*np.arange(0, 60, 3), *(np.arange(0, 60, 3) + 0.1)])))


def test_at_a_repeated_position_the_lowest_uid_is_kept() -> None:
    report = examine([*stack(range(10)), plane(99, 4)])
    assert [duplicate.others[0].sop_instance_uid for duplicate in report.duplicates] == ["1.2.00099"]
    assert report.dropped[0].reason is DropReason.DUPLICATE
    assert len(report.kept) == 10


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"localizer": True}, DropReason.LOCALIZER),
        ({"orientation": CORONAL}, DropReason.ORIENTATION),
        ({"rows": 256}, DropReason.GRID),
        ({"pixel_spacing": (0.9, 0.9)}, DropReason.GRID),
        ({"frame_of_reference_uid": "1.4"}, DropReason.FRAME_OF_REFERENCE),
    ],
)
def test_a_few_foreign_images_are_left_out_with_a_remark(changes: dict[str, Any], reason: DropReason) -> None:
    report = examine([*stack(range(20)), replace(plane(90, 5), **changes)])
    assert report.problem is None
    assert [dropped.reason for dropped in report.dropped] == [reason]
    assert "1 image of the series left out" in report.remarks[0]


@pytest.mark.parametrize("changes", [{"orientation": CORONAL}, {"rows": 256}, {"frame_of_reference_uid": "1.4"}])
def test_a_real_mixture_is_a_problem(changes: dict[str, Any]) -> None:
    mixed = [*stack(range(20)), *(replace(plane(90 + number, number), **changes) for number in range(15))]
    assert "groups of 20, 15 images" in problem_of(mixed)


@pytest.mark.parametrize("attribute", ["position", "orientation", "pixel_spacing"])
def test_missing_geometry_is_a_problem(attribute: str) -> None:
    changes: dict[str, Any] = {attribute: None}
    assert "is missing" in problem_of([*stack(range(3)), plane(9, 9, **changes)])


@pytest.mark.parametrize(
    "changes",
    [
        {"position": (float("nan"), 0.0, 0.0)},
        {"position": (0.0, 1e12, 0.0)},
        {"pixel_spacing": (0.0, 1.0)},
        {"orientation": (0.0,) * 6},
        {"orientation": (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)},
    ],
)
def test_impossible_geometry_is_a_problem(changes: dict[str, Any]) -> None:
    assert "damaged" in problem_of([*stack(range(3)), plane(9, 9, **changes)])


def test_tiny_jitter_of_the_orientation_is_tolerated() -> None:
    jitter = np.random.default_rng(1).normal(0, 1e-4, (20, 6))
    planes = [plane(number, number * 3, orientation=tuple((jitter[number] + AXIAL).tolist())) for number in range(20)]
    report = examine(planes)
    assert report.problem is None
    assert report.remarks == ()


def test_nothing_and_localizers_only_are_problems() -> None:
    assert "no images" in problem_of([])
    assert "localizer" in problem_of([plane(1, 1, localizer=True)])
