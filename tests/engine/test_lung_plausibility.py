from collections.abc import Callable

import numpy as np
import pytest

from engine.api import Refusal
from engine.catalog._lung_plausibility import LEFT, RIGHT, remarks, require_a_person, require_lungs
from engine.volume import Volume
from training.evaluate import volume_of

SHAPE = (40, 60, 80)
SPACING_MM = (8.0, 5.0, 5.0)
Masks = dict[int, np.ndarray]


def _box(slices: slice, columns: slice, rows: slice = slice(10, 50)) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[slices, rows, columns] = True
    return mask


def _lungs() -> Masks:
    return {RIGHT: _box(slice(5, 35), slice(15, 35)), LEFT: _box(slice(5, 35), slice(45, 65))}


def _volume(masks: Masks, hu: int = -850) -> Volume:
    voxels = np.full(SHAPE, 40, np.int16)
    for mask in masks.values():
        voxels[mask] = hu
    return volume_of(voxels, SPACING_MM)


def _volumes_ml(volume: Volume, masks: Masks) -> dict[int, float]:
    return {number: volume.volume_ml(mask) for number, mask in masks.items()}


def _cylinder(shell_hu: float, core_hu: float) -> np.ndarray:
    """Water with a shell and a core."""
    _, rows, columns = np.ogrid[:30, :60, :60]
    radius = np.hypot(rows - 30, columns - 30) + np.zeros((30, 1, 1))
    hu = np.where(radius < 25, 20.0, -1000.0)
    hu[(radius < 25) & (radius > 18)] = shell_hu
    hu[radius < 6] = core_hu
    return hu.astype(np.float32)


@pytest.mark.parametrize(
    ("shell_hu", "core_hu", "missing"), [(20, 20, "no bones"), (20, 700, "no fat"), (-100, 20, "no bones")]
)
def test_what_has_no_bones_or_no_fat_is_no_person(shell_hu: float, core_hu: float, missing: str) -> None:
    with pytest.raises(Refusal, match=missing):
        require_a_person(_cylinder(shell_hu, core_hu))


def test_a_body_with_bones_and_fat_is_a_person() -> None:
    require_a_person(_cylinder(-100, 700))


@pytest.mark.parametrize("kept", [slice(0, 30), slice(30, 60), slice(0, 36)])
def test_half_a_body_is_refused(kept: slice) -> None:
    with pytest.raises(Refusal, match="middle of the body"):
        require_a_person(_cylinder(-100, 700)[:, :, kept])


def test_half_a_body_is_refused_where_air_fills_the_other_half() -> None:
    hu = _cylinder(-100, 700)
    hu[:, :, 30:] = -1000
    with pytest.raises(Refusal, match="middle of the body"):
        require_a_person(hu)


def test_a_body_whose_sides_a_tight_field_of_view_cuts_is_accepted() -> None:
    require_a_person(_cylinder(-100, 700)[:, :, 14:46])


def test_air_alone_is_no_body() -> None:
    with pytest.raises(Refusal, match="no body"):
        require_a_person(np.full((20, 20, 20), -1000, np.float32))


def test_two_whole_lungs_are_accepted_without_a_remark() -> None:
    masks = _lungs()
    volume = _volume(masks)
    require_lungs(volume, masks, _volumes_ml(volume, masks))
    assert remarks(volume, masks, _volumes_ml(volume, masks)) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: {RIGHT: _box(slice(9, 12), slice(20, 30)), LEFT: _box(slice(0), slice(0))}, "No lungs .*: 240 ml"),
        (lambda _: {RIGHT: _box(slice(2, 38), slice(2, 39)), LEFT: _box(slice(2, 38), slice(41, 78))}, "spacing"),
        (lambda found: {side: _started(mask, 0) for side, mask in found.items()}, "Only a part .* first slice shows 100 %"),
        (lambda found: {side: _started(mask, 10) for side, mask in found.items()}, "last slice shows 100 %"),
        (lambda found: {RIGHT: found[LEFT], LEFT: found[RIGHT]}, "right lung was found left of the left"),
        (lambda found: {RIGHT: _box(slice(5, 35), slice(60, 76)), LEFT: found[LEFT] & False}, "half of the chest"),
        (lambda found: {RIGHT: _box(slice(5, 35), slice(0, 30)), LEFT: found[LEFT]}, "Right lung: the edge of the images"),
    ],
)
def test_what_cannot_be_whole_lungs_is_refused(change: Callable[[Masks], Masks], reason: str) -> None:
    masks = change(_lungs())
    volume = _volume(masks)
    with pytest.raises(Refusal, match=reason):
        require_lungs(volume, masks, _volumes_ml(volume, masks))


def _started(mask: np.ndarray, shift: int) -> np.ndarray:
    """The lung moved down to the first slice, or up beyond the last."""
    return np.roll(mask, -5 if shift == 0 else shift, axis=0) & (np.arange(SHAPE[0]) >= shift)[:, None, None]


def test_one_lung_beside_an_empty_half_of_a_whole_chest_is_accepted() -> None:
    masks = {RIGHT: _lungs()[RIGHT], LEFT: np.zeros(SHAPE, bool)}
    volume = _volume(masks)
    require_lungs(volume, masks, _volumes_ml(volume, masks))
    assert "Left lung: only 0 ml found" in remarks(volume, masks, _volumes_ml(volume, masks))[0]


def test_a_lung_that_the_scan_just_cuts_is_accepted_with_a_remark() -> None:
    masks = _lungs()
    masks[LEFT][35:40, 20:40, 50:56] = True
    volume = _volume(masks)
    require_lungs(volume, masks, _volumes_ml(volume, masks))
    assert remarks(volume, masks, _volumes_ml(volume, masks)) == (
        "Left lung: not wholly within the scan; its volume is that of the part shown.",
    )


def test_a_lung_much_smaller_than_the_other_is_told() -> None:
    masks = _lungs()
    masks[LEFT][5:24] = False
    volume = _volume(masks)
    assert "Left lung: 37 % of the other lung's volume" in remarks(volume, masks, _volumes_ml(volume, masks))[0]


def test_a_lung_as_dense_as_tissue_is_told() -> None:
    masks = _lungs()
    volume = _volume(masks)
    volume.voxels[5:15][masks[RIGHT][5:15]] = 30
    assert "Right lung: 33 % of it is as dense as soft tissue" in remarks(volume, masks, _volumes_ml(volume, masks))[0]
