"""Cross-validation: one training per fold, and what they reach on the patients that each left out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.errors import TrainingError
from training.held_out import FILE, HeldOut


@dataclass(frozen=True, slots=True)
class FoldScore:
    """Dice of one structure over all folds.

    Attributes:
        cases: held-out cases with the structure, all folds together.
        mean: over those cases.
        spread: standard deviation of the folds' means.
    """

    structure: str
    cases: int
    mean: float
    spread: float

    def __str__(self) -> str:
        return f"{self.structure}: Dice {self.mean:.3f} over {self.cases} held-out cases, {self.spread:.3f} between folds"


def fold_folders(output: Path, count: int) -> tuple[Path, ...]:
    """The run of each fold below the folder of all."""
    if count < 2:
        raise TrainingError(f"--folds {count}: at least two are needed")
    return tuple(output / f"fold-{number}-of-{count}" for number in range(1, count + 1))


def cross_validate(output: Path, count: int, train: Callable[[str, Path], object]) -> tuple[FoldScore, ...]:
    """Train every fold, or go on with those that are not finished.

    Args:
        output: folder of all runs.
        count: of folds.
        train: trains one fold, such as "2/5", in a folder.

    Raises:
        TrainingError: a fold left nothing to measure.
    """
    folders = fold_folders(output, count)
    for number, folder in enumerate(folders, start=1):
        train(f"{number}/{count}", folder)
    missing = [folder.name for folder in folders if not (folder / FILE).exists()]
    if missing:
        raise TrainingError(f"{', '.join(missing)}: no held-out cases were measured; a fold needs --data with several patients")
    return summarise([HeldOut.read(folder) for folder in folders])


def summarise(folds: list[HeldOut]) -> tuple[FoldScore, ...]:
    """The scores of all folds together, by structure."""
    names = list(dict.fromkeys(name for fold in folds for name in fold.dice))
    return tuple(_score(name, [fold for fold in folds if name in fold.dice]) for name in names)


def _score(name: str, folds: list[HeldOut]) -> FoldScore:
    means = np.array([fold.dice[name] for fold in folds])
    cases = np.array([fold.cases[name] for fold in folds])
    return FoldScore(name, int(cases.sum()), float(np.average(means, weights=cases)), float(means.std()))
