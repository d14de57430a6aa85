import math

import numpy as np
import pytest

from engine.api import Context
from engine.findings import Segment
from tests.training.evaluation.ball_cases import SHAPE, ball, case, union
from tests.training.evaluation.ball_engine import BALL, STRUCTURE, BallFinder
from training.evaluation.cases import lesions_of
from training.evaluation.run import REFUSED, evaluate_case, run, segments_of

ENGINE = BallFinder(Context())
SMALL, LARGE = ball((6, 12, 12), 4), ball((6, 28, 28), 6)


def test_a_right_answer_has_the_best_figures() -> None:
    (score,) = evaluate_case(ENGINE, case(1, LARGE), 1.0).structures
    assert (score.dice, score.iou, score.surface_dice, score.hausdorff_95_mm) == (1, 1, 1, 0)
    assert score.volume_error_percent == 0
    assert score.truth_ml == pytest.approx(np.count_nonzero(LARGE) * 2 / 1000)


def test_several_segments_of_one_structure_are_scored_together() -> None:
    result = evaluate_case(ENGINE, case(1, union([SMALL, LARGE])), 1.0)
    assert result.structures[0].dice == 1
    assert result.detection["ball"].found == (10.0, 10.0)


def test_what_is_not_in_the_truth_is_a_false_positive() -> None:
    result = evaluate_case(ENGINE, case(1, LARGE, shown=union([SMALL, LARGE])), 1.0)
    assert result.detection["ball"].false_positives == (10.0,)
    assert result.structures[0].dice < 1
    assert result.structures[0].volume_error_percent > 0


def test_a_refusal_is_scored_as_nothing_found_and_says_why() -> None:
    result = evaluate_case(ENGINE, case(1, LARGE, modality="MR"), 1.0)
    assert result.outcome == REFUSED
    assert "needs CT" in result.reason
    assert result.structures[0].dice == 0
    assert math.isnan(result.detection["ball"].found[0])


def test_nothing_where_there_is_nothing_is_right() -> None:
    result = evaluate_case(ENGINE, case(1, np.zeros(SHAPE, bool)), 1.0)
    assert result.structures[0].dice == 1
    assert result.picture == b""


def test_every_case_is_reported_as_it_ends() -> None:
    seen: list[str] = []
    run(ENGINE, [case(1, LARGE), case(2, SMALL)], 1.0, lambda result: seen.append(result.key))
    assert seen == ["case-1", "case-2"]


def test_segments_belong_to_a_structure_by_their_key_alone() -> None:
    keys = ["ball", "ball-1", "ball-12", "ball-joint", "football", "balls"]
    segments = [Segment(key, key, LARGE, STRUCTURE, BALL) for key in keys]
    assert [segment.key for segment in segments_of(segments, "ball")] == ["ball", "ball-1", "ball-12"]


def test_lesions_are_the_connected_parts_of_a_mask_in_millimetres() -> None:
    volume = case(1, LARGE).volume
    small, large = sorted(lesions_of(union([SMALL, LARGE]), volume.affine), key=lambda lesion: lesion.diameter_mm)
    assert small.diameter_mm == pytest.approx(8, rel=0.1)
    assert large.diameter_mm == pytest.approx(12, rel=0.1)
    expected = volume.affine @ np.array([6, 28, 28, 1])
    assert large.centre_mm == pytest.approx(tuple(expected[:3]), abs=0.01)
    assert lesions_of(np.zeros(SHAPE, bool), volume.affine) == ()
