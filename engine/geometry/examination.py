"""Do these image planes form one stack of parallel slices? Decided on plain numbers, without pixels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from engine.geometry.frame import NoStackError, Selection, select_common_frame
from engine.geometry.gaps import find_gaps
from engine.geometry.model import DroppedPlane, DropReason, Duplicate, Gap, SlicePlane, StackGeometry, StackReport
from engine.geometry.words import count, in_words, places

SAME_POSITION_MM = 0.01
MAXIMUM_MISSING = 3
MAXIMUM_GAP_STEPS = 3.05
MAXIMUM_GAP_MM = 15.05
MINIMUM_STEP_SHARE = 0.1
"""Slices nearer than this share of the usual step belong to two interleaved acquisitions."""
MAXIMUM_SHIFT_MM = 2.0
MAXIMUM_SHEAR_DEGREES = 45.0
NOTABLE_SHEAR_DEGREES = 0.5
NOTABLE_STEP_SPREAD = 0.01


def examine(planes: Sequence[SlicePlane]) -> StackReport:
    """Order the planes along their normal and say what is wrong with the stack; the order of the input has no influence."""
    selection = Selection(sorted(planes, key=lambda plane: plane.sort_key))
    try:
        select_common_frame(selection)
    except NoStackError as no_stack:
        return StackReport(dropped=tuple(selection.dropped), remarks=tuple(selection.remarks), problem=str(no_stack))
    rows, columns = _directions(selection.planes)
    kept, duplicates = _merge_duplicates(selection.planes, np.cross(rows, columns))
    repeated = [DroppedPlane(plane, DropReason.DUPLICATE) for duplicate in duplicates for plane in duplicate.others]
    remarks = list(selection.remarks)
    if repeated:
        remarks.append(
            f"{count(len(repeated), 'image')} at the position of another one: the lowest SOP Instance UID was kept at each."
        )
    geometry = _geometry(kept, rows, columns)
    gaps = find_gaps(geometry)
    remarks += _geometry_remarks(geometry, gaps)
    return StackReport(
        kept=tuple(kept),
        dropped=(*selection.dropped, *repeated),
        missing_count=sum(gap.missing for gap in gaps),
        gaps=gaps,
        duplicates=duplicates,
        remarks=tuple(remarks),
        problem=_step_problem(geometry) or _line_problem(geometry) or _gap_problem(geometry, gaps),
        geometry=geometry,
    )


def _directions(planes: list[SlicePlane]) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    """Row and column direction of the stack: the median over the slices, made orthonormal."""
    both = np.median(np.array([plane.orientation for plane in planes], dtype=float), axis=0)
    row = both[:3] / np.linalg.norm(both[:3])
    column = both[3:] - row * (row @ both[3:])
    return row, column / np.linalg.norm(column)


def _merge_duplicates(
    planes: list[SlicePlane], normal: Float64[np.ndarray, "3"]
) -> tuple[list[SlicePlane], tuple[Duplicate, ...]]:
    heights = np.array([plane.position for plane in planes], dtype=float) @ normal
    order = np.argsort(heights, kind="stable")
    same = np.diff(heights[order]) <= SAME_POSITION_MM
    groups: list[list[SlicePlane]] = []
    for rank, index in enumerate(order):
        if rank and same[rank - 1]:
            groups[-1].append(planes[index])
        else:
            groups.append([planes[index]])
    groups = [sorted(group, key=lambda plane: plane.sort_key) for group in groups]
    return [group[0] for group in groups], tuple(Duplicate(group[0], tuple(group[1:])) for group in groups if len(group) > 1)


def _geometry(planes: list[SlicePlane], row: Float64[np.ndarray, "3"], column: Float64[np.ndarray, "3"]) -> StackGeometry:
    positions = np.array([plane.position for plane in planes], dtype=float)
    normal = np.cross(row, column)
    heights = positions @ normal
    steps = np.diff(heights)
    step = float(np.median(steps)) if len(steps) else None
    spacing = np.median(np.array([plane.pixel_spacing for plane in planes], dtype=float), axis=0)
    span = positions[-1] - positions[0]
    cosine = float(span @ normal / np.linalg.norm(span)) if len(steps) else 1.0
    return StackGeometry(
        row_direction=row,
        column_direction=column,
        pixel_spacing=(float(spacing[0]), float(spacing[1])),
        rows=planes[0].rows,
        columns=planes[0].columns,
        positions_mm=positions,
        along_normal_mm=heights,
        step_mm=step,
        step_spread=float(np.abs(steps / step - 1).max()) if step else 0.0,
        shear_degrees=float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))),
    )


def _geometry_remarks(geometry: StackGeometry, gaps: tuple[Gap, ...]) -> list[str]:
    remarks = []
    if geometry.shear_degrees > NOTABLE_SHEAR_DEGREES:
        remarks.append(f"Gantry tilt: the slices are sheared by {geometry.shear_degrees:.1f} degrees.")
    if gaps:
        remarks.append(f"{count(sum(gap.missing for gap in gaps), 'slice')} missing: {places(gaps)}.")
    elif geometry.step_spread > NOTABLE_STEP_SPREAD:
        steps = np.diff(geometry.along_normal_mm)
        remarks.append(f"Unevenly spaced slices: {steps.min():.2f} to {steps.max():.2f} mm apart.")
    return remarks


def _step_problem(geometry: StackGeometry) -> str | None:
    steps = np.diff(geometry.along_normal_mm)
    usual = float(np.quantile(steps, 0.75)) if len(steps) else 0.0
    if not len(steps) or steps.min() >= MINIMUM_STEP_SHARE * usual:
        return None
    place = geometry.positions_mm[int(steps.argmin())]
    return (
        f"Two images lie only {steps.min():.2f} mm apart at {in_words(place)}, where {usual:.2f} mm are usual: two "
        "acquisitions seem to be mixed in one series. Send each as a series of its own."
    )


def _line_problem(geometry: StackGeometry) -> str | None:
    if geometry.step_mm is None:
        return None
    if geometry.shear_degrees > MAXIMUM_SHEAR_DEGREES:
        return (
            f"The slices are displaced sideways from one to the next ({geometry.shear_degrees:.0f} degrees from their normal); "
            "this is not a stack of slices through one region."
        )
    positions, heights = geometry.positions_mm, geometry.along_normal_mm
    share = (heights - heights[0]) / (heights[-1] - heights[0])
    off = np.linalg.norm(positions - positions[0] - share[:, None] * (positions[-1] - positions[0]), axis=1)
    if off.max() <= max(MAXIMUM_SHIFT_MM, *geometry.pixel_spacing):
        return None
    place = in_words(positions[int(off.argmax())])
    return (
        f"Slices are shifted sideways against each other by up to {off.max():.1f} mm (at {place}); "
        "the field of view changes within the series."
    )


def _gap_problem(geometry: StackGeometry, gaps: tuple[Gap, ...]) -> str | None:
    missing = sum(gap.missing for gap in gaps)
    widest = max((gap.width_mm for gap in gaps), default=0.0)
    step = geometry.step_mm or 0.0
    if missing <= MAXIMUM_MISSING and widest <= min(MAXIMUM_GAP_MM, MAXIMUM_GAP_STEPS * step):
        return None
    return f"{count(missing, 'slice')} missing ({places(gaps)}). Send the series again in full."
