import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import TrainingError
from training.splits import Fold, k_folds, one_fold, three_way

CASES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), min_size=12, max_size=60).filter(
    lambda cases: len({patient for patient, _ in cases}) >= 5
)


@given(CASES, st.integers(2, 5))
def test_no_patient_is_on_both_sides_and_every_case_is_held_out_once(cases: list[tuple[int, int]], count: int) -> None:
    patients = [f"p{patient}" for patient, _ in cases]
    folds = k_folds(patients, [kind for _, kind in cases], count)
    assert sorted(number for fold in folds for number in fold.held_out) == list(range(len(cases)))
    for fold in folds:
        assert sorted((*fold.train, *fold.held_out)) == list(range(len(cases)))
        assert not {patients[number] for number in fold.train} & {patients[number] for number in fold.held_out}


def test_classes_keep_their_shares() -> None:
    patients = [f"p{number}" for number in range(50)]
    classes = [number % 5 == 0 for number in range(50)]
    for fold in k_folds(patients, classes, 5):
        assert sum(classes[number] for number in fold.held_out) == 2


def test_three_ways_cover_every_case_once() -> None:
    patients = [f"p{number // 2}" for number in range(40)]
    split = three_way(patients, None)
    parts = (split.train, split.validation, split.test)
    assert sorted(number for part in parts for number in part) == list(range(40))
    owners = [{patients[number] for number in part} for part in parts]
    assert not owners[0] & owners[1] | owners[0] & owners[2] | owners[1] & owners[2]


def test_a_fold_is_read_from_its_words() -> None:
    assert Fold.parse("2/5") == Fold(2, 5)
    assert str(Fold(2, 5)) == "2/5"
    for wrong in ("6/5", "0/5", "1/1", "two", "2 of 5", "-1/5"):
        with pytest.raises(TrainingError, match="fold"):
            Fold.parse(wrong)


def test_the_seed_decides_the_division() -> None:
    patients = [str(number) for number in range(20)]
    assert one_fold(patients, None, Fold(1, 4), seed=1) == one_fold(patients, None, Fold(1, 4), seed=1)
    assert one_fold(patients, None, Fold(1, 4), seed=1) != one_fold(patients, None, Fold(1, 4), seed=2)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(TrainingError, match="2 patients"):
        k_folds(["a", "a", "b"], None, 3)
