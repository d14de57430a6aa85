import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics.detection import (
    Candidate,
    Lesion,
    ScanMatch,
    competition_performance_metric,
    froc,
    match_scan,
    sensitivity_at,
)

LESION = Lesion((10.0, 20.0, 30.0), 8.0)
CONFIDENCES = st.integers(0, 5).map(lambda value: value / 5)
SCANS = st.lists(
    st.builds(
        lambda found, false: ScanMatch(tuple(found), tuple(false)),
        st.lists(CONFIDENCES | st.just(math.nan), min_size=1, max_size=4),
        st.lists(CONFIDENCES, max_size=5),
    ),
    min_size=1,
    max_size=5,
)


def test_a_candidate_within_the_radius_finds_the_lesion() -> None:
    assert match_scan([LESION], [Candidate((10, 20, 34), 0.8)]) == ScanMatch((0.8,), ())


def test_a_candidate_beyond_the_radius_is_a_false_positive() -> None:
    matched = match_scan([LESION], [Candidate((10, 20, 34.1), 0.8)])
    assert math.isnan(matched.found[0])
    assert matched.false_positives == (0.8,)


def test_a_second_candidate_on_a_lesion_counts_neither_way() -> None:
    candidates = [Candidate((10, 20, 31), 0.3), Candidate((10, 20, 29), 0.9)]
    assert match_scan([LESION], candidates) == ScanMatch((0.9,), ())


def test_a_candidate_between_two_lesions_belongs_to_the_nearer() -> None:
    other = Lesion((10.0, 20.0, 35.0), 8.0)
    matched = match_scan([LESION, other], [Candidate((10, 20, 33), 0.5)])
    assert math.isnan(matched.found[0])
    assert matched.found[1] == 0.5


def test_a_lesion_that_is_not_scored_counts_neither_way() -> None:
    spared = Lesion((0.0, 0.0, 0.0), 8.0, scored=False)
    assert match_scan([spared], [Candidate((0, 0, 1), 0.5)]) == ScanMatch((), ())
    assert match_scan([spared], []) == ScanMatch((), ())


def test_a_curve_counts_by_hand() -> None:
    curve = froc([ScanMatch((0.9, math.nan), (0.8,)), ScanMatch((0.7,), (0.95, 0.2))])
    assert curve.false_positives_per_scan.tolist() == [0, 0.5, 0.5, 1, 1, 1.5]
    assert curve.sensitivity == pytest.approx([0, 0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert sensitivity_at(curve, 8) == pytest.approx(2 / 3)


@settings(deadline=None)
@given(SCANS)
def test_more_false_positives_never_find_less(scans: list[ScanMatch]) -> None:
    curve = froc(scans)
    assert (np.diff(curve.false_positives_per_scan) >= 0).all()
    assert (np.diff(curve.sensitivity) >= 0).all()
    assert 0 <= competition_performance_metric(curve) <= 1


def test_perfect_detection_has_the_highest_metric() -> None:
    assert competition_performance_metric(froc([ScanMatch((0.9, 0.8), ()), ScanMatch((0.3,), ())])) == 1


def test_without_lesions_there_is_no_curve() -> None:
    with pytest.raises(ValueError, match="at least one true lesion"):
        froc([ScanMatch((), (0.3,))])
