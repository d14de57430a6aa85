"""The recipe of the brain engine."""

from pathlib import Path

import torch

from engine.networks.build import build_network
from training.evaluate import Score
from training.recipes.brain_tumor import Settings, export
from training.run import Run
from training.settings import load_settings, settings_file


def test_a_network_that_sees_no_brain_is_exported_with_a_card_that_says_so(tmp_path: Path) -> None:
    overrides = ["validation_phantoms=1", "network.filters=[4, 4, 4, 4, 4]"]
    settings = load_settings(Settings, settings_file("brain-tumor"), overrides)
    network = build_network(settings.network).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    package = export(network, settings, Run(tmp_path))
    card = (package.path / "docs" / "README.md").read_text(encoding="utf-8")
    assert "| whole tumour | none scored; 1 phantoms refused |" in card
    assert "| enhancing part | none scored |" in card


def test_a_score_says_how_many_were_refused_only_where_some_were() -> None:
    assert str(Score((0.5, 1.0))) == "mean 0.750, median 0.750, lowest 0.500"
    assert str(Score((0.5,), 2)) == "mean 0.500, median 0.500, lowest 0.500; 2 phantoms refused"
    assert str(Score(())) == "none scored"
