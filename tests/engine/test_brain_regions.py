"""From the network's logits to foci that count."""

import numpy as np
import pytest
import torch

from engine.api import Refusal
from engine.catalog._brain_regions import bright_surface_share, find_regions
from engine.catalog.brain_tumor import require_brain

SHAPE = (30, 30, 30)
VOXEL_ML = 0.064
EVEN = torch.ones(SHAPE)
"""An image on which nothing is brighter than the brain."""


def _logits(*parts: tuple[int, tuple[slice, slice, slice]]) -> torch.Tensor:
    """Certain everywhere: outside, but in the parts their class."""
    labels = torch.zeros(SHAPE, dtype=torch.long)
    for label, box in parts:
        labels[box] = label
    return torch.nn.functional.one_hot(labels, 4).movedim(-1, 0).float() * 12


def _cube(start: int, stop: int) -> tuple[slice, slice, slice]:
    return (slice(start, stop),) * 3


BRAIN = (1, _cube(2, 28))


def test_a_tumour_in_the_brain_is_found_with_its_volume() -> None:
    flair, both = _logits(BRAIN, (2, _cube(8, 14))), _logits(BRAIN, (3, _cube(10, 12)), (3, _cube(20, 24)))
    regions = find_regions(flair, EVEN, VOXEL_ML, both)
    assert regions.foci_ml == pytest.approx((6**3 * VOXEL_ML,))
    assert regions.brain_ml == pytest.approx(26**3 * VOXEL_ML)
    assert int((regions.fields[0] > 0).sum()) == 6**3
    assert int((regions.fields[1] > 0).sum()) == 2**3, "only within what FLAIR shows"


def test_specks_are_no_tumour() -> None:
    regions = find_regions(_logits(BRAIN, (2, _cube(8, 9))), EVEN, VOXEL_ML)
    assert regions.foci_ml == ()
    assert not (regions.fields > 0).any()


def test_what_the_network_doubts_everywhere_is_no_tumour() -> None:
    logits = _logits(BRAIN, (2, _cube(8, 14)))
    logits[2] = torch.where(logits[2] > 0, 0.5, 0.0)
    assert find_regions(logits, EVEN, VOXEL_ML).foci_ml == ()


def test_a_bright_spot_beside_the_brain_is_no_tumour() -> None:
    brain = (1, (slice(2, 16), slice(2, 28), slice(2, 28)))
    regions = find_regions(_logits(brain, (2, (slice(20, 26), slice(8, 14), slice(8, 14)))), EVEN, VOXEL_ML)
    assert regions.foci_ml == ()


def test_what_tumour_encloses_belongs_to_it() -> None:
    regions = find_regions(_logits(BRAIN, (2, _cube(8, 18)), (1, _cube(11, 15))), EVEN, VOXEL_ML)
    assert int((regions.fields[0] > 0).sum()) == 10**3


def test_brightness_carries_a_tumour_to_its_border_and_no_farther() -> None:
    flair = EVEN.clone()
    flair[8:20, 8:20, 8:20] = 2.0
    flair[8:20, 8:20, 24:27] = 2.0
    regions = find_regions(_logits(BRAIN, (2, _cube(11, 16))), flair, VOXEL_ML)
    drawn = (regions.fields[0] > 0).numpy()
    assert drawn[8:20, 8:20, 8:20].mean() > 0.95
    assert not drawn[:, :, 23:].any(), "bright, but apart from what the network says"
    assert regions.tumour_ml < 1.3 * 12**3 * VOXEL_ML


def test_foci_are_counted_largest_first() -> None:
    regions = find_regions(_logits(BRAIN, (2, _cube(4, 7)), (2, _cube(12, 18))), EVEN, VOXEL_ML)
    assert regions.foci_ml == pytest.approx((6**3 * VOXEL_ML, 3**3 * VOXEL_ML))


@pytest.mark.parametrize(
    ("logits", "voxel_ml", "reason"),
    [
        (_logits(), VOXEL_ML, "No brain in the field of view: 0 ml"),
        (_logits(BRAIN), 0.3, "more than a head holds"),
        (_logits(BRAIN, (2, _cube(4, 26))), VOXEL_ML, "61 % of the brain looks like tumour"),
    ],
)
def test_what_is_no_brain_is_refused_after_inference(logits: torch.Tensor, voxel_ml: float, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        require_brain(find_regions(logits, EVEN, voxel_ml))


def test_nothing_is_lost_at_the_borders_of_the_grid() -> None:
    whole = (slice(0, 30),) * 3
    regions = find_regions(_logits((1, whole), (2, (slice(0, 8), slice(0, 8), slice(0, 8)))), EVEN, VOXEL_ML)
    assert np.isclose(regions.tumour_ml, 8**3 * VOXEL_ML)


def test_bright_sulci_are_told_from_a_bright_tumour() -> None:
    regions = find_regions(_logits(BRAIN, (2, _cube(3, 14))), EVEN, VOXEL_ML)
    flair = torch.ones(SHAPE)
    flair[torch.from_numpy(regions.seen)] = 2.0
    assert bright_surface_share(regions, flair) == 0
    flair[:, ::2] = 2.0
    assert bright_surface_share(regions, flair) > 0.4
