"""The steps of the liver engine around its networks, given what perfect networks would say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from engine.api import Refusal
from engine.catalog._liver_lesions import attenuation_class, credible, split, within_parenchyma
from engine.catalog._liver_report import MOST_LESIONS, answer
from engine.catalog._liver_sense import require_abdomen_ct, why_no_liver
from engine.catalog._liver_shape import Surroundings, box_around, fine_grid, main_parts, refine, surroundings
from engine.resampling import CanonicalGrid, canonical_grid, to_canonical
from engine.volume import Volume
from training.evaluate import dice, volume_of
from training.phantoms.abdomen import LESION, LIVER, AbdomenPhantom, abdomen

PLAUSIBLE = Surroundings(left_mm=-50.0, bone_share=0.1)


@pytest.fixture(scope="module")
def phantom() -> AbdomenPhantom:
    return abdomen(41, (5.0, 4.0, 4.0), (52, 64, 80), lesion_share=1.0)


@pytest.fixture(scope="module")
def volume(phantom: AbdomenPhantom) -> Volume:
    return volume_of(phantom.hu, phantom.spacing_mm)


def _ball(radius: float, centre: tuple[float, float, float] = (16, 16, 16), size: int = 33) -> np.ndarray:
    return np.asarray(sum((axis - at) ** 2 for axis, at in zip(np.indices((size,) * 3), centre, strict=True)) < radius**2)


def _slab(millilitres: float) -> tuple[Volume, np.ndarray]:
    """A CT of 50 slices of 4 mm and a mask of so many millilitres away from its ends."""
    volume = volume_of(np.full((50, 60, 60), 60, np.int16), (4.0, 4.0, 4.0))
    mask = np.zeros(volume.voxels.shape, bool)
    mask[5:45] = (np.arange(60 * 60) < millilitres / 0.064 / 40).reshape(60, 60)
    return volume, mask


def test_the_fine_grid_lies_on_the_coarse_one() -> None:
    coarse = CanonicalGrid((-100.0, -90.0, -80.0), (4.0, 4.0, 4.0), (30, 40, 50))
    fine = fine_grid(coarse, (slice(3, 10), slice(5, 20), slice(7, 9)), 2)
    assert fine.origin_mm == (-100 + 7 * 4, -90 + 5 * 4, -80 + 3 * 4)
    assert fine.spacing_mm == (2.0, 2.0, 2.0)
    assert fine.shape == (13, 29, 3)


def test_the_surface_follows_the_liver_and_leaves_fat_out(phantom: AbdomenPhantom, volume: Volume) -> None:
    truth = phantom.labels > 0
    coarse = canonical_grid(volume, (5.0, 5.0, 5.0))
    swollen = volume_of(ndimage.binary_dilation(truth, iterations=1).astype(np.int16) * 1000, phantom.spacing_mm)
    margin = to_canonical(swollen, coarse, 0.0) / 100 - 5
    parts = main_parts(margin)
    box = box_around(parts)
    grid = fine_grid(coarse, box, 2)
    liver = refine(margin, parts, box, grid, to_canonical(volume, grid, -1024.0))
    wanted = to_canonical(volume_of(truth.astype(np.int16) * 1000, phantom.spacing_mm), grid, 0.0).numpy() > 500
    coarse_only = margin > 0
    assert dice(liver.mask, wanted) > dice(coarse_only[box].numpy(), truth_on(coarse, truth, phantom)[box]) + 0.02
    assert liver.level_hu == pytest.approx(np.median(phantom.hu[phantom.labels == LIVER]), abs=8)
    place = surroundings(to_canonical(volume, coarse, -1024.0), parts, coarse.spacing_mm)
    assert place.left_mm < -20
    assert place.bone_share < 0.3


def truth_on(grid: CanonicalGrid, truth: np.ndarray, phantom: AbdomenPhantom) -> np.ndarray:
    return np.asarray(to_canonical(volume_of(truth.astype(np.int16) * 1000, phantom.spacing_mm), grid, 0.0).numpy() > 500)


def test_small_far_parts_are_dropped() -> None:
    margin = torch.full((40, 40, 40), -3.0)
    margin[5:25, 5:25, 5:25] = 3
    margin[33:36, 33:36, 33:36] = 3
    assert main_parts(margin).sum() == 20**3


def test_a_lesion_must_be_large_sure_and_in_the_liver() -> None:
    liver = _ball(14)
    probability = np.zeros(liver.shape, np.float32)
    for centre, level in (((16, 16, 10), 0.9), ((16, 16, 22), 0.6), ((30, 30, 30), 0.95)):
        probability[_ball(2.5, centre)] = level
    probability[16, 8, 16] = 0.99
    assert np.array_equal(credible(probability, liver, 0.008), _ball(2.5, (16, 16, 10)))


def test_lesions_are_numbered_by_size() -> None:
    numbers, found = split(_ball(3, (8, 8, 8)) | _ball(5, (22, 22, 22)))
    assert found == 2
    assert numbers[22, 22, 22] == 1
    assert numbers[8, 8, 8] == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([60, 62, 58], "hypodense"),
        ([5, 8, 2], "hypodense, as fluid"),
        ([104, 99, 96], "isodense"),
        ([140, 150, 129], "hyperdense"),
        ([60, 62, 400], "calcified in part"),
    ],
)
def test_attenuation_is_judged_against_the_liver(values: list[int], words: str) -> None:
    assert attenuation_class(np.array(values, np.int16), 100.0) == words


def test_every_lesion_is_a_segment_with_its_numbers(phantom: AbdomenPhantom, volume: Volume) -> None:
    told = answer(volume, phantom.labels > 0, phantom.labels == LESION, 97.0)
    keys = [segment.key for segment in told.segments]
    assert keys[:2] == ["liver", "lesion-1"]
    assert len(keys) == ndimage.label(phantom.labels == LESION, np.ones((3, 3, 3)))[1] + 1
    largest = told.segments[1]
    long_axis, short_axis, mean_hu = (measurement.value for measurement in largest.measurements)
    assert long_axis >= short_axis > 2
    assert mean_hu == pytest.approx(phantom.hu[largest.mask].mean())
    assert str(told.evaluations[0].value).startswith(f"{len(keys) - 1} lesion")


def test_a_liver_without_lesions_is_said_to_have_none(phantom: AbdomenPhantom, volume: Volume) -> None:
    told = answer(volume, phantom.labels > 0, np.zeros(phantom.labels.shape, bool), 97.0)
    assert [segment.key for segment in told.segments] == ["liver"]
    assert str(told.evaluations[0].value).startswith("no lesion found")


def test_more_lesions_than_can_be_told_apart_are_joined() -> None:
    volume, liver = _slab(1500)
    lesions = np.zeros_like(liver)
    lesions[10:20:3, 1:20:3, 2:50:4] = True
    number = int(ndimage.label(lesions)[1])
    told = answer(volume, liver | lesions, lesions, 60.0)
    assert len(told.segments) == MOST_LESIONS + 2
    assert np.count_nonzero(told.segments[-1].mask) == number - MOST_LESIONS
    assert any(remark.startswith(f"{number} lesions") for remark in told.remarks)


def test_a_plausible_liver_is_believed() -> None:
    volume, liver = _slab(1500)
    assert why_no_liver(volume, liver, 60.0, PLAUSIBLE) == ""


@pytest.mark.parametrize(
    ("millilitres", "level_hu", "place", "words"),
    [
        (200, 60.0, PLAUSIBLE, "202 ml were found"),
        (5000, 60.0, PLAUSIBLE, "more than a liver has"),
        (1500, -90.0, PLAUSIBLE, "-90 HU, which no liver has"),
        (1500, 60.0, replace(PLAUSIBLE, bone_share=0.6), "enclosed by bone"),
        (1500, 60.0, replace(PLAUSIBLE, left_mm=40.0), "left of the middle"),
    ],
)
def test_what_cannot_be_a_liver_is_not_believed(millilitres: float, level_hu: float, place: Surroundings, words: str) -> None:
    volume, liver = _slab(millilitres)
    assert words in why_no_liver(volume, liver, level_hu, place)


def test_a_liver_at_the_end_of_the_scan_is_said_to_be_cut() -> None:
    volume, liver = _slab(1500)
    liver[:5] = liver[10]
    told = answer(volume, liver, np.zeros_like(liver), 60.0)
    assert any("not wholly within the scan" in remark for remark in told.remarks)


def _thick(volume: Volume) -> Volume:
    positions = volume.positions_mm * np.array([1, 1, 4.0])
    return replace(volume, positions_mm=positions)


def _short(volume: Volume, slices: int) -> Volume:
    return replace(
        volume, voxels=volume.voxels[:slices], positions_mm=volume.positions_mm[:slices], slices=volume.slices[:slices]
    )


def test_what_the_engine_was_not_made_for_is_refused_with_the_reason(volume: Volume) -> None:
    for changed, words in (
        (replace(volume, modality="MR"), "on CT only"),
        (replace(volume, modality="PT"), "needs CT"),
        (_short(volume, 5), "Only 5 slices"),
        (_short(volume, 12), "cover only 55 mm"),
        (_thick(volume), "20.0 mm apart"),
        (replace(volume, pixel_spacing_mm=(0.05, 0.05)), "pixel spacing"),
        (replace(volume, voxels=np.maximum(volume.voxels, 0)), "Rescale Intercept"),
    ):
        with pytest.raises(Refusal, match=words):
            require_abdomen_ct(changed)


def test_only_what_parenchyma_surrounds_and_what_holds_no_fat_is_a_lesion() -> None:
    hu = np.full((40, 40, 40), 100.0, np.float32)
    hu[:, :, :6] = -90.0  # fat beside the liver
    inner, edge, fatty = (_ball(4.0, place, 40) for place in ((12, 12, 24), (20, 28, 7), (30, 12, 24)))
    hu[inner | edge] = 50.0
    hu[fatty] = -60.0
    found = within_parenchyma(inner | edge | fatty, hu, 100.0)
    assert np.array_equal(found, inner)
