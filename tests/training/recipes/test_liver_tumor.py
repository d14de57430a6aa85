"""The recipe of the liver engine, with networks and phantoms that are far too small to be of use."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from engine.api import EngineInfo, Refusal
from engine.catalog.liver_tumor import LESION_FOLDER, LiverTumor
from engine.findings import Algorithm, Findings
from engine.models import load_package
from engine.volume import Volume
from training.cases import CaseStore
from training.recipes._liver_tumor_samples import TrunkPatches, lesion_case, liver_case
from training.recipes._liver_tumor_score import _hits, _untouched, score_phantoms
from training.recipes.liver_tumor import Settings, _write, train
from training.run import Run
from training.sampling import PatchChoice
from training.settings import load_settings, settings_file

SPACING_MM, SHAPE = (10.0, 10.0, 10.0), (32, 32, 40)


@pytest.fixture
def settings() -> Settings:
    """The shipped ones, made tiny."""
    shipped = load_settings(Settings, settings_file("liver-tumor"))
    parts = {}
    for name in ("liver", "lesion"):
        part = getattr(shipped, name)
        filters = [4] * len(part.network["filters"])
        parts[name] = replace(
            part,
            phantoms=2,
            spacing_mm=SPACING_MM,
            shape=SHAPE,
            network={**part.network, "filters": filters},
            plan=replace(part.plan, steps=2, precision="float32"),
            patches=PatchChoice(size=(16, 16, 16), batch=2),
        )
    return replace(shipped, **parts)


def test_the_recipe_trains_both_networks_and_goes_on_where_it_was(settings: Settings, tmp_path: Path) -> None:
    run = Run(tmp_path)
    first = train(settings, run)
    again = train(settings, run)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    package = _write(tmp_path / "liver_tumor", first, settings, "# Card\n")
    assert package.metadata.labels == ("background", "liver")
    assert load_package(package.path / LESION_FOLDER).metadata.labels == ("background", "liver lesion")


def test_lesions_are_learnt_relative_to_the_livers_own_attenuation() -> None:
    values, labels = lesion_case(41, (5.0, 5.0, 5.0), (40, 44, 48))
    whole, _ = liver_case(41, (5.0, 5.0, 5.0), (40, 44, 48))
    assert set(np.unique(labels)) <= {0, 1}
    assert values.shape == whole.shape
    assert abs(float(np.percentile(values, 70))) < 150


def test_some_patches_show_a_slab_with_air_around_it(tmp_path: Path) -> None:
    store = CaseStore(tmp_path, partial(liver_case, spacing_mm=SPACING_MM, shape=SHAPE))
    sampler = TrunkPatches(store.load, range(1), (16, 16, 16), torch.nn.Identity(), batch=6, missing_coverage=1.0)
    images, labels = sampler(torch.Generator().manual_seed(3))
    assert images.shape == (6, 1, 16, 16, 16)
    empty = (images == -1024).flatten(3).all(3)[:, 0]
    assert empty.any()
    assert not labels[empty].any()


class Declines:
    """An engine that refuses every picture, as one does that was trained too briefly to see a liver."""

    info: ClassVar[EngineInfo] = LiverTumor.info

    def algorithm(self) -> Algorithm:
        return Algorithm("none", "1", "tests", "0" * 64, "cpu", "")

    def analyse(self, volume: Volume) -> Findings:
        raise Refusal("no liver")


def test_an_engine_that_declines_has_a_score_without_figures() -> None:
    score = score_phantoms(Declines(), range(3))
    assert score.count == 0
    assert score.refused > 0, "the phantoms of these numbers show enough liver"
    assert score.liver == f"none scored; {score.refused} phantoms refused"
    assert score.lesions == "none scored"
    healthy = replace(score, dices=(0.9,), volume_errors=(1.0,), false_positives=(0,), refused=0)
    assert healthy.lesions.endswith("Dice of all lesions of a scan: none scored")
    assert "refused" not in healthy.liver


def test_a_lesion_counts_as_found_when_a_tenth_is_marked() -> None:
    truth, marked = np.zeros((2, 20, 20, 20), bool)
    truth[2:8, 2:8, 2:8] = truth[12:18, 12:18, 12:18] = True
    marked[2:4, 2:8, 2:8] = marked[0:2, 15:18, 0:3] = True
    assert _hits(truth, marked, (2.0, 2.0, 2.0)) == [True, False]
    assert _untouched(marked, truth) == 1
