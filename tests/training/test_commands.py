"""`dicom-node train` and `dicom-node export` as a person runs them, on the smallest recipe."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from engine.models import load_package
from tests.dicom_node.cli.program import dicom_node
from training import cli
from training.commands import TrainingRequest, export_run, train_recipe
from training.errors import TrainingError
from training.recipes import example
from training.run import read_record
from training.settings import load_settings, settings_file

DICE_FLOOR = 0.9
UNSEEN = range(500_000, 500_008)
SHORT = ("plan.steps=14", "plan.checkpoint_steps=2", "plan.validation_steps=5", "plan.precision=bfloat16", "phantoms=6")
PROGRAM = "from dicom_node.cli import main; main()"


def test_a_training_run_reaches_its_dice_floor_and_exports_what_the_node_loads(tmp_path: Path) -> None:
    trained = dicom_node("train", "example", "--output", tmp_path / "run")
    assert trained.returncode == 0, trained.stderr
    package = export_run(tmp_path / "run", tmp_path / "package")
    assert package.weights_digest in trained.stdout
    settings = load_settings(example.Settings, settings_file("example"))
    with torch.inference_mode():
        reached = example.score(load_package(tmp_path / "package").network(), settings, UNSEEN)
    assert reached > DICE_FLOOR, "on phantoms that nobody has looked at"


def test_a_training_killed_in_the_middle_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = train_recipe(TrainingRequest("example", tmp_path / "whole", overrides=SHORT))
    words = [f"--set={each}" for each in SHORT]
    command = [sys.executable, "-c", PROGRAM, "train", "example", "--output", str(tmp_path / "cut"), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 8/"):
                break
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    done = torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)["step"]
    assert 8 <= done < 14
    resumed = train_recipe(TrainingRequest("example", tmp_path / "cut", overrides=SHORT))
    assert whole is not None
    assert resumed is not None
    assert resumed.weights_digest == whole.weights_digest


def test_a_run_is_not_mixed_with_another(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_recipe(TrainingRequest("example", run, overrides=(*SHORT, "plan.steps=2")))
    with pytest.raises(TrainingError, match=r"settings.plan.steps 2 then, 3 now"):
        train_recipe(TrainingRequest("example", run, overrides=(*SHORT, "plan.steps=3")))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("not a model")
    with pytest.raises(TrainingError, match="no model package"):
        export_run(run, tmp_path / "other")
    unfinished = json.loads((run / "run.json").read_text()) | {"finished": False}
    (run / "run.json").write_text(json.dumps(unfinished))
    with pytest.raises(TrainingError, match="not finished"):
        export_run(run, tmp_path / "package")


def test_a_run_is_finished_only_when_its_package_is_there(tmp_path: Path) -> None:
    request = TrainingRequest("example", tmp_path, overrides=(*SHORT, "plan.steps=2"))
    (tmp_path / "example").write_text("in the way of the package")
    with pytest.raises(OSError, match="example"):
        train_recipe(request)
    with pytest.raises(TrainingError, match="not finished"):
        export_run(tmp_path, tmp_path.parent / "package")
    (tmp_path / "example").unlink()
    train_recipe(request)
    assert read_record(tmp_path)["finished"]


def test_a_validation_that_a_recipe_does_not_have_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    overrides = ("lesion.plan.validation_steps=5", "lesion.plan.patience=2", "liver.phantoms=1", "liver.plan.steps=1")
    with pytest.raises(TrainingError, match="needs a validation, and this recipe has none"):
        train_recipe(TrainingRequest("liver-tumor", tmp_path / "run", overrides=overrides))
    assert not (tmp_path / "run").exists()


def test_a_mistake_is_told_without_a_traceback(tmp_path: Path) -> None:
    application = typer.Typer()
    application.command()(cli.train)
    wrong = CliRunner().invoke(application, ["example", "--output", str(tmp_path), "--set", "plan.stepps=3"])
    assert wrong.exit_code == 1
    assert "plan.stepps is no setting; did you mean plan.steps?" in wrong.output
    assert isinstance(wrong.exception, SystemExit)
    with pytest.raises(TrainingError, match="holds no run"):
        export_run(tmp_path / "nowhere", tmp_path)


def test_without_the_extra_the_command_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['sklearn'] = None\n"
    command = [sys.executable, "-c", hidden + PROGRAM, "train", "example", "--output", "run"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "pip install 'dicom-node[training]'" in refused.stderr
    assert "Traceback" not in refused.stderr
