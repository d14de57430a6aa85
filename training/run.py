"""A run: the folder of one training, and what it was asked to do. The same request in the same folder goes on with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.distributed import current_group
from training.errors import TrainingError
from training.settings import settings_values
from training.splits import Fold
from training.watching import Watch, print_lines

RECORD = "run.json"


@dataclass(frozen=True, slots=True)
class Run:
    """What a recipe's `train` and `export` are given beside their settings.

    Attributes:
        folder: for cases, checkpoint and package.
        data: folder of labelled cases, in the recipe's form; None to train on synthetic ones alone.
        fold: the part of the patients to leave out; None to use the recipe's own division.
        start_from: a model package to begin with instead of random weights.
        watch: is told of every step.
    """

    folder: Path
    data: Path | None = None
    fold: Fold | None = None
    start_from: Path | None = None
    watch: Watch = print_lines

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def cases(self) -> Path:
        """Cases made or converted once."""
        return self.folder / "cases"

    def data_source(self, synthetic: str) -> str:
        """What the model learnt from, where the recipe alone would have said `synthetic`."""
        if not self.data and not self.start_from:
            return synthetic
        beside = synthetic.replace("; no patient's image", "")
        real = "labelled cases that its user gave" if self.data else ""
        begun = "the data of the package it began with" if self.start_from else ""
        return "; ".join(filter(None, (real, begun, beside)))

    def told(self, card: str) -> str:
        """The model card, with a word in front where the model is not the recipe's own."""
        if not self.data and not self.start_from:
            return card
        title, _, rest = card.partition("\n")
        learnt = self.data_source("synthetic cases")
        word = (
            f"> Not the shipped model. Learnt from: {learnt}. What is said below of data and figures holds for the\n"
            "> synthetic part alone: evaluate it before use, and mind the licence of the data.\n"
        )
        return f"{title}\n\n{word}{rest}"


def record(run: Run, recipe: str, settings: Any) -> None:
    """Write down what the run is, or compare with what it was begun as.

    Raises:
        TrainingError: the folder holds a run of something else.
    """
    wanted = _described(run, recipe, settings)
    file = run.folder / RECORD
    if not file.exists():
        run.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        return
    begun = read_record(run.folder)
    if changed := _changes(begun, wanted):
        raise TrainingError(f"{run.folder} holds a run begun otherwise ({'; '.join(changed)}): choose another --output")


def read_record(folder: Path) -> dict[str, Any]:
    """What a run was begun as.

    Raises:
        TrainingError: there is no run.
    """
    try:
        found: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise TrainingError(f"{folder} holds no run of `dicom-node train` ({RECORD} is missing or damaged)") from error
    return found


def record_end(folder: Path) -> None:
    """Write down that the training is finished and its package is there."""
    file = folder / RECORD
    file.write_text(json.dumps({**read_record(folder), "finished": True}, indent=2) + "\n", encoding="utf-8")


def run_of(folder: Path) -> Run:
    """The run that a folder holds."""
    begun = read_record(folder)
    data, start_from = (Path(begun[key]) if begun[key] else None for key in ("data", "from"))
    return Run(folder, data, Fold.parse(begun["fold"]) if begun["fold"] else None, start_from)


def _described(run: Run, recipe: str, settings: Any) -> dict[str, Any]:
    return {
        "recipe": recipe,
        "data": str(run.data.resolve()) if run.data else "",
        "fold": str(run.fold) if run.fold else "",
        "from": str(run.start_from.resolve()) if run.start_from else "",
        "processes": current_group().size,
        "settings": settings_values(settings),
    }


def _changes(begun: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs, in words; settings that did not exist then are not compared."""
    changes: list[str] = []
    for key in sorted(begun.keys() & wanted.keys()):
        then, now = begun[key], wanted[key]
        if isinstance(then, dict) and isinstance(now, dict):
            changes += _changes(then, now, f"{prefix}{key}.")
        elif then != now:
            changes.append(f"{prefix}{key} {then!r} then, {now!r} now")
    return changes
