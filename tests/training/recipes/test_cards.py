"""What a model package says of its making is true of that making."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import training.recipes
from engine.models import METADATA_FILE
from engine.networks.build import build_network
from training.recipe import find_recipe, recipe_names
from training.run import Run
from training.settings import load_settings, settings_file
from training.watching import in_silence

RECIPES = [name for name in recipe_names() if name != "example"]
NARROW = "filters=[4, 4, 4, 4, 4]"
TINY: dict[str, list[str]] = {
    "brain-tumor": ["validation_phantoms=0", f"network.{NARROW}"],
    "image-classifier": ["validation_patients=1"],
    "liver-tumor": ["validation_phantoms=0", f"liver.network.{NARROW}", "lesion.network.filters=[4, 4, 4, 4]"],
    "lung-segmentation": ["validation_phantoms=0", f"network.{NARROW}"],
    "nodule-malignancy": [
        "example_phantoms=1",
        "detector.filters=[4, 4, 4, 4]",
        "classifier.block_inplanes=[4, 4, 4, 4]",
        "detector_plan.steps=7",
    ],
}


def _template(name: str) -> Path:
    return Path(training.recipes.__path__[0]) / f"{name.replace('-', '_')}_card.md"


def _network(name: str, settings: Any) -> nn.Module:
    """Random weights in the form that the recipe's `train` returns."""
    if name == "liver-tumor":
        return nn.ModuleDict({part: build_network(getattr(settings, part).network) for part in ("liver", "lesion")}).eval()
    if name == "nodule-malignancy":
        return nn.ModuleDict({part: build_network(getattr(settings, part)) for part in ("detector", "classifier")}).eval()
    return build_network(settings.network).eval()


def _rated_nodules(folder: Path) -> Path:
    folder.mkdir()
    distance = np.linalg.norm(np.indices((51, 51, 51)).T - 25, axis=-1)
    masks = np.stack([distance < radius for radius in (4, 9)])
    volumes = np.where(masks, 30, -860).astype(np.int16)
    np.savez(folder / "nodules.npz", volume=volumes, mask=masks, names=["1_a", "2_a"], malignancy=[1, 5])
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_a_model_of_other_data_says_so_in_its_card_and_its_metadata(name: str, tmp_path: Path) -> None:
    recipe = find_recipe(name)
    settings = load_settings(recipe.Settings, settings_file(name), TINY[name])
    started = "from" in recipe.USES
    data = None if started else _rated_nodules(tmp_path / "data")
    run = Run(tmp_path / "run", data=data, start_from=tmp_path if started else None, watch=in_silence)
    recipe.export(_network(name, settings), settings, run)
    cards = list((run.folder / name.replace("-", "_")).rglob("docs/README.md"))
    assert cards
    for card in cards:
        assert "> Not the shipped model." in card.read_text(encoding="utf-8"), card
        source = json.loads((card.parents[1] / METADATA_FILE).read_text(encoding="utf-8"))["data_source"]
        assert "no patient" not in source
    if name == "nodule-malignancy":
        assert "in 7 steps for the detector" in cards[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", RECIPES)
def test_fixed_figures_of_real_images_name_the_weights_that_they_belong_to(name: str) -> None:
    card = _template(name).read_text(encoding="utf-8")
    measured = re.search(r"## Measured\n(.*?)\n## ", card, re.DOTALL)
    assert measured is not None
    if re.search(r"\b[Rr]eal (CT|tumour|rows)|LIDC", measured[1]):
        assert "fixed text" in measured[1]
        assert re.search(r"SHA-256\s+begins\s+with\s+`[0-9a-f]{12}`", measured[1])


def test_no_card_counts_its_steps_by_hand() -> None:
    for name in RECIPES:
        card = _template(name)
        assert not re.search(r"\b\d+ steps", card.read_text(encoding="utf-8")), card.name
