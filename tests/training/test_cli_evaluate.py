import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.training.evaluation import ball_engine
from training.cli_evaluate import evaluate

APPLICATION = typer.Typer()
APPLICATION.command()(evaluate)


def _refusal(*words: str) -> str:
    result = CliRunner().invoke(APPLICATION, words)
    assert result.exit_code == 1, result.output
    return result.output


def test_phantoms_are_evaluated_and_the_report_is_written(tmp_path: Path) -> None:
    result = CliRunner().invoke(APPLICATION, ["lung-segmentation", "--output", str(tmp_path / "out"), "--phantoms", "1"])
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert len(metrics["cases"]) == 1
    assert metrics["identity"]["engine"] == "lung-segmentation"
    assert "phantom-900000: findings" in result.output
    assert (tmp_path / "out" / "report.html").is_file()


def test_without_cases_there_is_nothing_to_evaluate_on(tmp_path: Path) -> None:
    assert "either --data" in _refusal("lung-segmentation", "--output", str(tmp_path))
    both = ("--data", str(tmp_path), "--phantoms", "3")
    assert "either --data" in _refusal("lung-segmentation", "--output", str(tmp_path), *both)


def test_an_engine_without_phantoms_says_which_have_some(tmp_path: Path) -> None:
    said = _refusal("ball-finder", "--module", ball_engine.__name__, "--output", str(tmp_path), "--phantoms", "1")
    assert "lung-segmentation" in said


def test_an_unknown_engine_is_refused_by_name(tmp_path: Path) -> None:
    assert "no engine 'lunge'" in _refusal("lunge", "--output", str(tmp_path), "--phantoms", "1")


def test_a_damaged_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    words = ("--package", str(tmp_path / "package"), "--phantoms", "1")
    assert "SHA256SUMS is missing" in _refusal("lung-segmentation", "--output", str(tmp_path), *words)


@pytest.mark.parametrize("text", ["device", "=x", "x="])
def test_an_option_is_written_as_name_and_value(tmp_path: Path, text: str) -> None:
    said = _refusal("lung-segmentation", "--output", str(tmp_path), "--phantoms", "1", "--option", text)
    assert "name=value" in said
