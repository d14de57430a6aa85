"""Overlap and surfaces, beside independent implementations."""

import math

import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics.hausdorff_distance import compute_hausdorff_distance

from training.metrics.overlap import dice, intersection_over_union, volume_error_percent
from training.metrics.surface import hausdorff_95_mm, normalised_surface_dice, surface_distances

MASKS = arrays(np.bool_, (4, 5, 6))
SPACING_MM = (3.0, 0.7, 0.8)
AFFINE = np.diag([*SPACING_MM, 1.0])


def _ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    grid = np.indices(shape).astype(float)
    squares = [((grid[axis] - centre[axis]) * SPACING_MM[axis]) ** 2 for axis in range(3)]
    return np.asarray(sum(squares) <= radius_mm**2)


FOUND, TRUTH = _ball((14, 60, 60), (6, 30, 28), 12), _ball((14, 60, 60), (7, 32, 31), 13)


def _image(mask: np.ndarray) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(SPACING_MM[::-1])
    return image


@settings(deadline=None)
@given(MASKS, MASKS)
def test_overlap_is_symmetric_and_between_nothing_and_one(found: np.ndarray, truth: np.ndarray) -> None:
    for figure in (dice, intersection_over_union):
        assert figure(found, truth) == figure(truth, found)
        assert 0 <= figure(found, truth) <= 1
        assert figure(truth, truth) == 1


@settings(deadline=None)
@given(MASKS, MASKS)
def test_dice_and_iou_say_the_same(found: np.ndarray, truth: np.ndarray) -> None:
    iou = intersection_over_union(found, truth)
    assert dice(found, truth) == pytest.approx(2 * iou / (1 + iou))


def test_overlap_agrees_with_simpleitk() -> None:
    filtered = SimpleITK.LabelOverlapMeasuresImageFilter()
    filtered.Execute(_image(TRUTH), _image(FOUND))
    assert dice(FOUND, TRUTH) == pytest.approx(filtered.GetDiceCoefficient())
    assert intersection_over_union(FOUND, TRUTH) == pytest.approx(filtered.GetJaccardCoefficient())


def test_a_structure_missed_wholly_has_no_overlap() -> None:
    nothing = np.zeros_like(TRUTH)
    assert dice(nothing, TRUTH) == intersection_over_union(nothing, TRUTH) == 0
    assert dice(nothing, nothing) == intersection_over_union(nothing, nothing) == 1


def test_a_volume_error_has_a_sign_and_needs_a_truth() -> None:
    assert volume_error_percent(90, 100) == pytest.approx(-10)
    assert volume_error_percent(125, 100) == pytest.approx(25)
    assert volume_error_percent(0, 0) == 0
    assert math.isnan(volume_error_percent(1, 0))


@settings(max_examples=40, deadline=None)
@given(MASKS, MASKS, st.floats(0, 5))
def test_surface_dice_is_symmetric_and_between_nothing_and_one(a: np.ndarray, b: np.ndarray, tolerance_mm: float) -> None:
    forth, back = surface_distances(a, b, AFFINE), surface_distances(b, a, AFFINE)
    assert normalised_surface_dice(forth, tolerance_mm) == normalised_surface_dice(back, tolerance_mm)
    assert 0 <= normalised_surface_dice(forth, tolerance_mm) <= 1
    assert hausdorff_95_mm(forth) == pytest.approx(hausdorff_95_mm(back), nan_ok=True)


@settings(deadline=None)
@given(MASKS)
def test_a_mask_lies_on_itself(mask: np.ndarray) -> None:
    distances = surface_distances(mask, mask, AFFINE)
    assert normalised_surface_dice(distances, 0) == 1
    assert hausdorff_95_mm(distances) == 0


@pytest.mark.filterwarnings("ignore:monai.metrics:FutureWarning")
def test_hausdorff_95_agrees_with_monai() -> None:
    found, truth = (torch.from_numpy(mask.astype(np.float32))[None, None] for mask in (FOUND, TRUTH))
    expected = compute_hausdorff_distance(found, truth, include_background=True, percentile=95, spacing=list(SPACING_MM))
    assert hausdorff_95_mm(surface_distances(FOUND, TRUTH, AFFINE)) == pytest.approx(float(expected), abs=1e-4)


def test_the_farthest_surface_voxel_is_as_far_as_simpleitk_says() -> None:
    filtered = SimpleITK.HausdorffDistanceImageFilter()
    filtered.Execute(_image(TRUTH), _image(FOUND))
    distances = surface_distances(FOUND, TRUTH, AFFINE)
    farthest = max(distances.to_truth_mm.max(), distances.to_found_mm.max())
    assert farthest == pytest.approx(filtered.GetHausdorffDistance(), abs=1e-4)


def test_a_border_shifted_by_one_slice_is_wrong_by_the_slice_step() -> None:
    shifted = np.roll(TRUTH, 1, axis=0)
    distances = surface_distances(shifted, TRUTH, AFFINE)
    assert normalised_surface_dice(distances, 3.0) == 1
    assert normalised_surface_dice(distances, 0.5) < 0.6
    assert hausdorff_95_mm(distances) == pytest.approx(3.0)


def test_without_one_of_the_surfaces_there_is_no_distance() -> None:
    distances = surface_distances(np.zeros_like(TRUTH), TRUTH, AFFINE)
    assert normalised_surface_dice(distances, 100) == 0
    assert math.isnan(hausdorff_95_mm(distances))


def test_surfaces_are_measured_in_the_frame_of_the_affine() -> None:
    sheared = AFFINE.copy()
    sheared[1, 0] = 2.0  # each slice lies 2 mm lower than the one before
    sheared[:3, 3] = (10, -5, 7)
    one, other = np.zeros((2, 3, 3), bool), np.zeros((2, 3, 3), bool)
    one[0, 1, 1] = other[1, 1, 1] = True
    assert hausdorff_95_mm(surface_distances(one, other, sheared)) == pytest.approx(math.hypot(3, 2))
