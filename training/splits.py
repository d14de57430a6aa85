"""Divisions of cases by patient: no patient is on both sides, and each class has its share on both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Fold:
    """One of several parts: 2/5 is the second of five, counted from 1."""

    number: int
    count: int

    def __post_init__(self) -> None:
        """Refuse what is no part."""
        if self.count < 2 or not 1 <= self.number <= self.count:
            raise TrainingError(f"fold {self.number}/{self.count}: write it as 1/5 ... 5/5, of at least two")

    @classmethod
    def parse(cls, text: str) -> "Fold":
        """The fold of a text such as "2/5".

        Raises:
            TrainingError: it is none.
        """
        number, separator, count = text.partition("/")
        if not separator or not number.strip().isdecimal() or not count.strip().isdecimal():
            raise TrainingError(f"fold {text!r}: write it as 2/5, the second of five")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True, slots=True)
class Split:
    """Numbers of the cases on either side."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]


def k_folds(patients: Sequence[str], classes: Sequence[int] | None, count: int, seed: int = 0) -> tuple[Split, ...]:
    """`count` divisions; each case is held out once.

    Args:
        patients: of each case; the cases of one patient stay together.
        classes: of each case, whose shares are kept as even as the patients allow; None where there are none.
        count: of parts.
        seed: of the order of the patients.

    Raises:
        TrainingError: there are fewer patients than parts.
    """
    if len(set(patients)) < count:
        raise TrainingError(
            f"{len(set(patients))} patients cannot be divided into {count} parts: fewer parts, or more patients"
        )
    strata = np.zeros(len(patients), int) if classes is None else np.asarray(classes)
    if len(strata) and min(np.unique(strata, return_counts=True)[1]) < count:
        strata = np.zeros(len(patients), int)  # a class that not every part can have: shares cannot be kept
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    divided = splitter.split(np.zeros(len(patients)), strata, np.asarray(patients))
    return tuple(Split(tuple(map(int, train)), tuple(map(int, held_out))) for train, held_out in divided)


def one_fold(patients: Sequence[str], classes: Sequence[int] | None, fold: Fold, seed: int = 0) -> Split:
    """The division of one fold."""
    return k_folds(patients, classes, fold.count, seed)[fold.number - 1]


@dataclass(frozen=True, slots=True)
class ThreeWay:
    """Numbers of the cases to train on, to choose by, and to measure with at the very end."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def three_way(patients: Sequence[str], classes: Sequence[int] | None, parts: int = 5, seed: int = 0) -> ThreeWay:
    """One part of `parts` for the test, one for the validation, the rest to train on."""
    folds = k_folds(patients, classes, parts, seed)
    test, validation = set(folds[0].held_out), set(folds[1].held_out)
    train = tuple(number for number in range(len(patients)) if number not in test | validation)
    return ThreeWay(train, tuple(sorted(validation)), tuple(sorted(test)))
