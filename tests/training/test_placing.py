"""Where `dicom-node export` may write: nothing that a person has is lost."""

import shutil
from pathlib import Path

import pytest
from torch import nn

from engine.models import load_package
from engine.networks.build import build_network
from tests.tiny_network import METADATA, NETWORK
from training.commands import TrainingRequest, export_run, train_recipe
from training.errors import TrainingError
from training.export import write_package
from training.placing import place, require_replaceable

ROOT = Path(__file__).parents[2]
SHORT = ("plan.steps=1", "plan.validation_steps=0", "plan.patience=0", "phantoms=1", "validation_phantoms=1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the example."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train_recipe(TrainingRequest("example", folder, overrides=SHORT))
    return folder


def _network() -> nn.Module:
    return build_network(NETWORK)


def _package(folder: Path, name: str = "tiny", card: str = "# Card\n") -> Path:
    write_package(folder, _network(), {**METADATA, "name": name}, card)
    return folder


def _files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_several_models_is_never_replaced(finished: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in ("lungs", "liver"):
        _package(models / name, name)
    before = _files(models)
    with pytest.raises(TrainingError, match=r"holds other models \(liver, lungs\)"):
        export_run(finished, models)
    (models / "readme.txt").write_text("which model is which")
    with pytest.raises(TrainingError, match=r"readme.txt belongs to none"):
        export_run(finished, models)
    assert _files(models).items() >= before.items()
    assert {path.name for path in tmp_path.iterdir()} == {"models"}


def test_the_repository_is_never_replaced(finished: Path) -> None:
    with pytest.raises(TrainingError, match="no model package"):
        export_run(finished, ROOT)
    assert (ROOT / "pyproject.toml").exists()


@pytest.mark.parametrize("place_", [".", "..", "example", "cases/new"])
def test_the_run_is_never_replaced(finished: Path, place_: str) -> None:
    before = _files(finished)
    with pytest.raises(TrainingError, match="one lies in the other"):
        export_run(finished, finished / place_)
    assert _files(finished) == before


def test_an_older_export_of_the_same_model_is_replaced(finished: Path, tmp_path: Path) -> None:
    first = export_run(finished, tmp_path / "models" / "example")
    (first.path / "docs" / "README.md").write_text("an older card")
    again = export_run(finished, first.path)
    assert load_package(again.path).weights_digest == first.weights_digest, "every file is the new one's"
    assert [path.name for path in first.path.parent.iterdir()] == ["example"], "nothing is left beside it"


def test_another_model_and_what_no_package_lists_stay(tmp_path: Path) -> None:
    new, run = _package(tmp_path / "run" / "new"), tmp_path / "run"
    with pytest.raises(TrainingError, match=r"other models \(heart\)"):
        place(new, _package(tmp_path / "heart", "heart"), run)
    mine = _package(tmp_path / "mine")
    (mine / "docs" / "notes.txt").write_text("measured on Monday")
    with pytest.raises(TrainingError, match="notes.txt belongs to none"):
        place(new, mine, run)
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    (downloads / "SHA256SUMS").write_text(f"{'0' * 64}  image.iso\n")
    with pytest.raises(TrainingError, match="no model package"):
        require_replaceable(downloads, run)
    (mine / "docs" / "notes.txt").rename(tmp_path / "letter.txt")
    (mine / "away").symlink_to(downloads)
    with pytest.raises(TrainingError, match="away belongs to none"):
        place(new, mine, run)
    with pytest.raises(TrainingError, match="is no folder"):
        place(new, tmp_path / "letter.txt", run)


def test_packages_side_by_side_are_replaced_together(tmp_path: Path) -> None:
    for folder, card in (("old", "# Old\n"), ("run/new", "# New\n")):
        for part in ("detector", "classifier"):
            _package(tmp_path / folder / part, part, card)
    place(tmp_path / "run" / "new", tmp_path / "old", tmp_path / "run")
    assert (tmp_path / "old" / "detector" / "docs" / "README.md").read_text() == "# New\n"
    assert _files(tmp_path / "old") == _files(tmp_path / "run" / "new")


def test_a_copy_that_fails_leaves_the_older_package(tmp_path: Path) -> None:
    new, old = _package(tmp_path / "run" / "new"), _package(tmp_path / "old")
    before = _files(old)
    (new / "docs" / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(TrainingError, match="is as it was"):
        place(new, old, tmp_path / "run")
    assert _files(old) == before
    assert {path.name for path in tmp_path.iterdir()} == {"run", "old"}
    shutil.rmtree(old)
    (new / "docs" / "broken").unlink()
    old.mkdir()
    place(new, old, tmp_path / "run")
    assert _files(old) == _files(new), "an empty folder is filled"
