import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bench.evaluate_real import EngineResult, Line, evaluate_line, in_its_own_process
from bench.real_cases import ANALYSED, CASES, DECLINED, RealCase
from bench.real_projections import projection_lines
from bench.real_tables import as_markdown
from engine.api import Context
from engine.loading import available
from tests.real_data import RealData
from tests.synthetic_projection import write_projection
from tests.training.evaluation.ball_cases import ball, case
from tests.training.evaluation.ball_engine import BallFinder
from tests.training.evaluation.bright_engine import Brightness
from training.evaluation.cases import LabelledVolume

IDENTITY = {"model": "balls", "version": "1.0.0", "SHA-256 of the weights": "0" * 64, "ran on": "CPU"}


def _case(labelled: LabelledVolume, expected: str) -> RealCase:
    return RealCase("a-ball", "a ball", "balls", lambda folder: labelled, {"ball-finder": expected})


@pytest.fixture
def data(tmp_path: Path) -> RealData:
    (tmp_path / "balls_tar").mkdir()
    (tmp_path / "balls.tar").touch()
    return RealData(tmp_path, tmp_path)


def test_a_result_is_judged_by_what_was_expected(data: RealData, tmp_path: Path) -> None:
    engine, labelled = BallFinder(Context()), case(1, ball((6, 20, 20), 6))
    line = evaluate_line(engine, _case(labelled, ANALYSED), data, tmp_path)
    assert (line.outcome, line.as_expected) == ("findings", True)
    assert line.found_ml == {"ball-1": pytest.approx(0.9, abs=0.1)}
    assert (tmp_path / "ball-finder--a-ball.png").is_file()
    assert evaluate_line(engine, _case(labelled, DECLINED), data, tmp_path).as_expected is False


def test_finding_nothing_declines_a_case(data: RealData, tmp_path: Path) -> None:
    empty = case(1, np.zeros((12, 40, 40), bool))
    line = evaluate_line(BallFinder(Context()), _case(empty, DECLINED), data, tmp_path)
    assert (line.outcome, line.as_expected, line.said) == ("nothing found", True, "No ball.")


def test_a_case_that_is_not_here_is_said_to_be_missing(tmp_path: Path) -> None:
    line = evaluate_line(
        BallFinder(Context()), _case(case(1, ball((6, 20, 20), 6)), ANALYSED), RealData(tmp_path, tmp_path), tmp_path
    )
    assert (line.outcome, line.as_expected) == ("missing", None)
    assert "balls" in line.said


def test_engines_of_projection_images_have_files_of_their_own(tmp_path: Path) -> None:
    lines = projection_lines(Brightness(Context()), RealData(tmp_path, tmp_path))
    assert [line["outcome"] for line in lines] == ["missing"] * 3
    folder = tmp_path / "odd_and_interop_tar" / "odd_dev"
    for name in ("seg_sr/highdicom__dx_image.dcm", "seg_sr/highdicom__ct_image.dcm", "enhanced/dcm_qa_enh__6_1.dcm"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_projection(folder / name, modality="DX" if "dx" in name else "MG")
    (tmp_path / "odd_and_interop.tar").touch()
    lines = projection_lines(Brightness(Context()), RealData(tmp_path, tmp_path))
    assert [(line["outcome"], line["as_expected"]) for line in lines] == [
        ("findings", None),
        ("refused", True),
        ("refused", True),
    ]


def test_an_engine_that_fails_leaves_a_result(tmp_path: Path) -> None:
    result = in_its_own_process("no-such-engine", argparse.Namespace(case=[], output=tmp_path))
    assert "no-such-engine" in result["failure"]
    assert "The engine failed and was not evaluated" in as_markdown([result])


def test_the_table_counts_what_was_expected_and_names_what_is_missing() -> None:
    lines = (
        Line("e", "one", "a | b", "findings", as_expected=True, found_ml={"x": 1.5}),
        Line("e", "two", "c", "findings", as_expected=False),
        Line("e", "three", "d", "refused", as_expected=None, said="no"),
        Line("e", "four", "f", "missing", as_expected=None),
    )
    text = as_markdown([asdict(EngineResult("e", IDENTITY, lines, ({"text": "AUC 0.9 (n = 3)"},)))])
    assert "As expected: 1 of 2 cases. Not here: four." in text
    assert "| one | a / b | findings | yes | x 1.5 ml |" in text
    assert "| two | c | findings | **no** |" in text
    assert "- AUC 0.9 (n = 3)" in text


def test_expectations_name_engines_that_exist_and_cases_have_their_own_names() -> None:
    assert {engine for each in CASES for engine in each.expected} <= {
        *available(),
        "nodule-malignancy",
        "liver-tumor",
        "brain-tumor",
    }
    assert len({each.name for each in CASES}) == len(CASES)
