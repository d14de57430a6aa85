"""Synthetic lung patches: what is painted is what is labelled."""

import numpy as np
import pytest
import torch

from training.phantoms.fields import Draw, Grid
from training.phantoms.nodules import NodulePhantom, nodule_patch
from training.phantoms.nodules_lesions import KINDS, NoduleTruth, draw_truth, paint_nodule
from training.phantoms.nodules_vessels import grow_tree, paint_tubes

SHAPE = (48, 48, 48)
GRID = Grid((1.0, 1.0, 1.0), SHAPE)


def _some() -> list[NodulePhantom]:
    return [nodule_patch(seed, shape=SHAPE) for seed in range(12)]


def test_a_seed_always_gives_the_same_patch() -> None:
    first, second = nodule_patch(3, shape=SHAPE), nodule_patch(3, shape=SHAPE)
    assert np.array_equal(first.hu, second.hu)
    assert np.array_equal(first.labels, second.labels)
    assert first.truths == second.truths


def test_every_label_has_its_truth_and_most_patches_hold_lung() -> None:
    phantoms = _some()
    for phantom in phantoms:
        assert phantom.labels.max() <= len(phantom.truths)
        assert phantom.hu.min() >= -1024
        assert phantom.hu.shape == phantom.labels.shape == SHAPE
    assert sum((phantom.hu < -600).mean() > 0.2 for phantom in phantoms) >= 8
    assert {len(phantom.truths) for phantom in phantoms} > {0}


def test_all_kinds_and_sizes_are_drawn() -> None:
    draw = Draw(1)
    truths = [draw_truth(draw) for _ in range(400)]
    assert {truth.kind for truth in truths} == set(KINDS)
    sizes = [truth.diameter_mm for truth in truths]
    assert min(sizes) < 3.5
    assert max(sizes) > 27
    assert 0.1 < np.mean([truth.spiculation > 0.3 for truth in truths]) < 0.5


@pytest.mark.parametrize(("kind", "low", "high"), [("solid", -100, 200), ("ground-glass", -800, -350), ("calcified", 20, 1200)])
def test_a_nodule_is_as_large_and_as_dense_as_it_is_said_to_be(kind: str, low: float, high: float) -> None:
    hu, lung = torch.full(SHAPE, -870.0), torch.ones(SHAPE, dtype=torch.bool)
    truth = NoduleTruth(kind, 14.0, 0.0, 0.0)
    box, found = paint_nodule(hu, lung, GRID, (24, 24, 24), truth, Draw(5))
    diameter = (6 * int(found.sum()) / np.pi) ** (1 / 3)
    assert diameter == pytest.approx(14, rel=0.15)
    assert low < float(hu[box][found].median()) < high
    assert float(hu[0, 0, 0]) == -870


def test_nothing_is_painted_outside_the_lung() -> None:
    hu, lung = torch.full(SHAPE, 40.0), torch.zeros(SHAPE, dtype=torch.bool)
    _, found = paint_nodule(hu, lung, GRID, (24, 24, 24), NoduleTruth("solid", 10.0, 1.0, 0.5), Draw(5))
    assert not found.any()
    assert bool((hu == 40).all())


def test_vessels_get_thinner_on_their_way() -> None:
    tree = grow_tree(np.array([-20.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0]), 3.0, 40.0, Draw(2))
    assert len(tree) > 6
    assert all(tube.stop_radius_mm <= tube.start_radius_mm for tube in tree)
    cover = torch.zeros(SHAPE)
    paint_tubes(cover, tree, GRID)
    assert 0 < float((cover > 0.5).float().mean()) < 0.2
