from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from monai.transforms.spatial.array import Orientation, Spacing
from scipy.spatial.transform import Rotation

from engine.resampling import Sampling, canonical_grid, to_canonical, to_source
from engine.volume import SliceReference, Volume

SLOPE = np.array([1.7, -2.3, 1.1])
"""HU per mm along x, y, z: a field that linear interpolation must reproduce."""


def _volume(
    rotation: np.ndarray, steps_mm: list[float], pixel_mm: tuple[float, float], shear: tuple[float, float], origin: np.ndarray
) -> Volume:
    row, column, normal = rotation
    heights = np.concatenate([[0.0], np.cumsum(steps_mm)])
    positions = origin + np.outer(heights, normal) + np.outer(heights, shear[0] * row + shear[1] * column)
    rows, columns = 28, 23
    points = (
        positions[:, None, None]
        + np.arange(rows)[:, None, None] * pixel_mm[0] * column
        + np.arange(columns)[:, None] * pixel_mm[1] * row
    )
    return Volume(
        voxels=np.round(points @ SLOPE).astype(np.int16),
        positions_mm=positions,
        row_direction=row,
        column_direction=column,
        pixel_spacing_mm=pixel_mm,
        slice_thickness_mm=None,
        modality="CT",
        slices=tuple(SliceReference(f"1.{index}") for index in range(len(positions))),
    )


RIGHT_HANDED_AXES = [
    Rotation.from_euler("xyz", angles, degrees=True).as_matrix().round()
    for angles in ([0, 0, 0], [180, 0, 0], [0, 180, 0], [0, 0, 90], [90, 0, 0], [0, 90, 0], [90, 90, 0], [0, -90, 180])
]
STEPS = st.lists(st.floats(1.0, 6.0), min_size=14, max_size=18)
volumes = st.builds(
    lambda axes, turn, steps, rows_mm, columns_mm, shear, origin: _volume(
        axes @ Rotation.from_rotvec(turn).as_matrix(), steps, (rows_mm, columns_mm), shear, np.array(origin)
    ),
    axes=st.sampled_from(RIGHT_HANDED_AXES),
    turn=st.just((0.0, 0.0, 0.0)) | st.tuples(*[st.floats(-0.4, 0.4)] * 3),
    steps=STEPS,
    rows_mm=st.floats(0.8, 3.5),
    columns_mm=st.floats(0.8, 3.5),
    shear=st.just((0.0, 0.0)) | st.tuples(*[st.floats(-0.35, 0.35)] * 2),
    origin=st.tuples(*[st.floats(-200, 200)] * 3),
)
samplings = st.sampled_from(get_args(Sampling))
anchors: st.SearchStrategy[Literal["centre", "corner"]] = st.sampled_from(["centre", "corner"])


@settings(max_examples=40, deadline=None)
@given(volumes, samplings, anchors)
def test_any_stack_lands_where_the_patient_lies(
    volume: Volume, sampling: Sampling, anchor: Literal["centre", "corner"]
) -> None:
    grid = canonical_grid(volume, (3.0, 3.0, 3.0), anchor=anchor)
    found = to_canonical(volume, grid, outside=30_000.0, sampling=sampling).numpy()
    z, y, x = np.meshgrid(
        *(grid.origin_mm[axis] + np.arange(count) * 3.0 for axis, count in zip((2, 1, 0), grid.shape, strict=True)),
        indexing="ij",
    )
    expected = x * SLOPE[0] + y * SLOPE[1] + z * SLOPE[2]
    inside = _well_inside(volume, np.stack([x, y, z], axis=-1))
    assert np.abs(found - expected)[inside].max(initial=0) < 1.0


@settings(max_examples=40, deadline=None)
@given(volumes, samplings)
def test_a_field_comes_back_to_the_voxels_it_belongs_to(volume: Volume, sampling: Sampling) -> None:
    grid = canonical_grid(volume, (3.0, 3.0, 3.0))
    z, y, x = (
        torch.from_numpy(grid.origin_mm[axis] + np.arange(count) * 3.0)
        for axis, count in zip((2, 1, 0), grid.shape, strict=True)
    )
    field = (x * SLOPE[0] + y[:, None] * SLOPE[1] + z[:, None, None] * SLOPE[2])[None]
    back = np.empty(volume.voxels.shape)
    for part, values in to_source(field, grid, volume, sampling=sampling):
        back[part] = values[0].numpy()
    margin = (slice(2, -2), slice(4, -4), slice(4, -4))
    assert np.abs(back - volume.voxels)[margin].max() < 1.0


@settings(max_examples=20, deadline=None)
@given(
    axes=st.sampled_from(RIGHT_HANDED_AXES), steps=st.lists(st.floats(1.0, 6.0), min_size=14, max_size=18), sampling=samplings
)
def test_axes_one_by_one_give_what_all_together_give(axes: np.ndarray, steps: list[float], sampling: Sampling) -> None:
    volume = _volume(axes, steps, (1.1, 0.8), (0.0, 0.0), np.zeros(3))
    volume = replace(volume, voxels=np.random.default_rng(0).integers(-1000, 1000, volume.voxels.shape, np.int16))
    hardly_sheared = replace(
        volume, positions_mm=volume.positions_mm + np.linspace(0, 0.002, len(steps) + 1)[:, None] * axes[0]
    )
    grid = canonical_grid(volume, (2.0, 2.0, 2.0))
    parallel, general = (to_canonical(each, grid, -1024.0, sampling=sampling) for each in (volume, hardly_sheared))
    assert torch.allclose(parallel, general, atol=10)
    back, general_back = (
        torch.cat([values for _, values in to_source(parallel[None], grid, each, sampling=sampling)], dim=1)
        for each in (volume, hardly_sheared)
    )
    assert torch.allclose(back, general_back, atol=10)


def test_linear_sampling_from_the_corner_is_that_of_monai() -> None:
    volume = _volume(np.eye(3), [2.0] * 15, (0.7, 0.9), (0.0, 0.0), np.array([10.0, -20.0, 5.0]))
    volume = replace(volume, voxels=np.random.default_rng(0).integers(-1000, 1000, volume.voxels.shape, np.int16))
    lps_affine = torch.diag(torch.tensor([-0.9, -0.7, 2.0, 1.0], dtype=torch.float64))
    lps_affine[:3, 3] = torch.tensor([-10.0, 20.0, 5.0])
    image = MetaTensor(torch.from_numpy(volume.voxels.transpose(2, 1, 0).astype(np.float32))[None], affine=lps_affine)
    monai = Spacing((1.5, 1.6, 1.7), mode="bilinear")(Orientation("RAS", labels=None)(image))
    grid = canonical_grid(volume, (1.7, 1.6, 1.5), anchor="corner")
    ours = to_canonical(volume, grid, -1024.0, sampling="linear").flip(1, 2).permute(2, 1, 0)
    assert ours.shape == monai.shape[1:]
    inner = (slice(0, -1),) * 3
    assert torch.allclose(ours[inner], torch.as_tensor(monai[0])[inner], atol=0.1)


def test_slabs_do_not_change_the_result() -> None:
    volume = _volume(np.eye(3), [2.0] * 15, (1.0, 1.0), (0.1, 0.0), np.zeros(3))
    grid = canonical_grid(volume, (3.0, 3.0, 3.0))
    field = torch.rand((1, *grid.shape), generator=torch.Generator().manual_seed(0))
    parts = list(to_source(field.expand(2500, *grid.shape), grid, volume))
    whole = list(to_source(field, grid, volume))
    assert len(parts) > 1 == len(whole)
    assert torch.allclose(torch.cat([values[:1] for _, values in parts], dim=1), whole[0][1], atol=1e-5)


def test_beyond_the_source_lies_air() -> None:
    turned = Rotation.from_euler("z", 45, degrees=True).as_matrix()
    volume = _volume(turned, [3.0] * 15, (3.0, 3.0), (0.0, 0.0), np.zeros(3))
    volume = replace(volume, voxels=np.zeros_like(volume.voxels))
    grid = canonical_grid(volume, (3.0, 3.0, 3.0))
    found = to_canonical(volume, grid, outside=-1024.0)
    assert found[8, 0, 0] == -1024
    assert found[8, grid.shape[1] // 2, grid.shape[2] // 2] == 0


def _well_inside(volume: Volume, points: np.ndarray) -> np.ndarray:
    """Points at least two coarse voxels within the stack."""
    heights = points @ volume.normal
    along = volume.along_normal_mm
    origins = np.stack([np.interp(heights, along, volume.positions_mm[:, axis]) for axis in range(3)], axis=-1)
    rows = (points - origins) @ volume.column_direction
    columns = (points - origins) @ volume.row_direction
    _, row_count, column_count = volume.voxels.shape
    row_mm, column_mm = volume.pixel_spacing_mm
    inside: np.ndarray = (
        (heights > along[4])
        & (heights < along[-5])
        & (rows > 7)
        & (rows < (row_count - 1) * row_mm - 7)
        & (columns > 7)
        & (columns < (column_count - 1) * column_mm - 7)
    )
    return inside
