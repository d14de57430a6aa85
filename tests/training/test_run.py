from pathlib import Path

from training.run import Run

SYNTHETIC = "Phantoms of a file; no patient's image"
CARD = "# Model 1\n\nWhat it is.\n"


def test_the_recipes_own_model_is_told_as_it_is(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.data_source(SYNTHETIC) == SYNTHETIC
    assert run.told(CARD) == CARD


def test_a_model_of_other_data_never_claims_to_know_no_patient(tmp_path: Path) -> None:
    for run in (Run(tmp_path, data=tmp_path), Run(tmp_path, start_from=tmp_path)):
        assert "no patient" not in run.data_source(SYNTHETIC)
        assert "Phantoms of a file" in run.data_source(SYNTHETIC)
        told = run.told(CARD)
        assert told.startswith("# Model 1\n\n> Not the shipped model.")
        assert told.endswith("What it is.\n")
        assert str(tmp_path) not in told
