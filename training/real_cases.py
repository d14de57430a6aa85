"""Real labelled examinations as training cases: read once, brought to the network's grid, divided by patient."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.cases import Case
from training.distributed import current_group, wait_for_leader
from training.errors import LabelError
from training.readers.any_folder import read_folder
from training.readers.labelled_case import LabelledCase
from training.readers.tables import read_table
from training.regrid import on_canonical_grid
from training.run import Run
from training.sampling import Mixture, Pool
from training.splits import one_fold

INDEX = "index.json"
FIRST_REAL = 1_000_000
TOLD, REST = "structures.csv", "*"
"""Beside the data: the columns structure and label; the line *,background stands for all that it does not name."""
BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class RealForm:
    """What a recipe wants of real cases.

    Attributes:
        labels: of the network's output, background first; structures of the data are matched to them by name.
        outside: value beyond an image.
        also: other names that data give to structures, and their labels ("tumor" -> 2).
        prepare: what is done to a case on the network's grid before it is kept.
    """

    labels: Sequence[str]
    spacing_mm: tuple[float, float, float]
    modality: str
    outside: float
    also: Mapping[str, int] = field(default_factory=dict)
    prepare: Callable[[Case], Case] | None = None


@dataclass(frozen=True, slots=True)
class RealCases:
    """Cases kept in a folder.

    Attributes:
        training, held_out: numbers of the cases on either side of the run's fold; without a fold nothing is held out.
    """

    folder: Path
    training: tuple[int, ...]
    held_out: tuple[int, ...]

    def load(self, number: int) -> Case:
        with np.load(self.folder / f"{number:05d}.npz") as arrays:
            return arrays["image"], arrays["labels"]


def real_cases(run: Run, form: RealForm, name: str = "real") -> RealCases | None:
    """The cases of the run's data, read on the first call and kept under a name; None for a run without data.

    Raises:
        LabelError: the data cannot be read, name no structure that the network knows, or one of which nothing tells what it is.
    """
    if run.data is None:
        return None
    folder = run.cases / name
    if current_group().leads and not (folder / INDEX).exists():
        _keep(run.data, folder, form)
    wait_for_leader()
    patients = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if run.fold is None:
        return RealCases(folder, tuple(range(len(patients))), ())
    split = one_fold(patients, None, run.fold)
    return RealCases(folder, split.train, split.held_out)


def with_real(synthetic: Pool, real: RealCases | None, synthetic_share: float) -> Mixture:
    """What batches are drawn from: synthetic cases, and real ones beside them where there are any."""
    return Mixture(synthetic, Pool(real.load, real.training) if real else None, synthetic_share)


@dataclass(frozen=True, slots=True)
class Beside:
    """Synthetic cases by their numbers, and real ones from FIRST_REAL on: for samplers that draw from numbers of their own."""

    synthetic: Callable[[int], Case]
    real: RealCases | None

    def load(self, number: int) -> Case:
        if self.real is None or number < FIRST_REAL:
            return self.synthetic(number)
        return self.real.load(number - FIRST_REAL)

    def numbers(self, synthetic: Sequence[int]) -> tuple[int, ...]:
        return (*synthetic, *(FIRST_REAL + number for number in (self.real.training if self.real else ())))


def _keep(data: Path, folder: Path, form: RealForm) -> None:
    """The index is written last: a killed conversion is begun again."""
    folder.mkdir(parents=True, exist_ok=True)
    told = read_table(data / TOLD, "structure", "label") if (data / TOLD).is_file() else {}
    patients = []
    for number, case in enumerate(read_folder(data, form.modality)):
        image, labels = on_canonical_grid(with_labels(case, form, told), form.spacing_mm, form.outside)
        if form.prepare is not None:
            image, labels = form.prepare((image, labels))
        np.savez(folder / f"{number:05d}.npz", image=image, labels=labels)
        patients.append(case.patient)
    (folder / INDEX).write_text(json.dumps(patients), encoding="utf-8")


def with_labels(case: LabelledCase, form: RealForm, told: Mapping[str, str] | None = None) -> LabelledCase:
    """The case with the numbers of the network's labels. Nothing becomes background unless it is told to.

    Labels without a name (NIfTI pairs) count as the network's own numbers, and "lesion 2" is a lesion.

    Args:
        case: with the structures of the data.
        form: what the network learns.
        told: structures of the data -> labels of the network, or "background"; "*" for all that are not named.

    Raises:
        LabelError: a structure is not known, none of them is, or one was told to be what the network does not learn.
    """
    known = _known(form) | _told(told or {}, form)
    numbers = {own: _number(name, known) if own else 0 for own, name in enumerate(case.structures)}
    present = {int(own) for own in np.unique(case.labels)}
    learns = f"the network learns {', '.join(form.labels[1:])}"
    unknown = [
        name
        for own, name in enumerate(case.structures)
        if numbers[own] is None and (own in present or not _UNNAMED.fullmatch(name))
    ]
    if not any(numbers.values()):
        raise LabelError(
            f"{case.name} has the structures {', '.join(case.structures[1:]) or 'none'}; {learns}: rename them in the data, "
            f"or say in {TOLD} beside the data which is which"
        )
    if unknown:
        raise LabelError(
            f"{case.name} has the structures {', '.join(unknown)}, and {learns}: say what each is in {TOLD} beside the data "
            f"(first line structure,label; then such as {unknown[0]},{form.labels[-1]} or {unknown[0]},{BACKGROUND}; "
            f"{REST},{BACKGROUND} for all the rest)"
        )
    table = np.array([numbers[own] or 0 for own in range(len(case.structures))], np.uint8)
    return LabelledCase(case.name, case.patient, case.image, table[case.labels], case.affine, case.modality, tuple(form.labels))


_UNNAMED = re.compile(r"label \d+")


def _known(form: RealForm) -> dict[str, int]:
    """Label of each name that the network knows."""
    unnamed = {f"label {number}": number for number in range(len(form.labels))}
    named = {name: number for number, name in enumerate(form.labels)}
    return {_plain(name): number for name, number in ({BACKGROUND: 0} | unnamed | named | dict(form.also)).items()}


def _told(told: Mapping[str, str], form: RealForm) -> dict[str, int]:
    """Label of each name that the table tells."""
    known = _known(form)
    if strange := [label for label in told.values() if _plain(label) not in known]:
        raise LabelError(
            f"{TOLD}: there is no label {', '.join(strange)}; there are: {', '.join((BACKGROUND, *form.labels[1:]))}"
        )
    return {_plain(name): known[_plain(label)] for name, label in told.items()}


def _number(name: str, known: Mapping[str, int]) -> int | None:
    """The label of a structure, by its name with or without a number of its own; None if nothing is known of it."""
    plain = _plain(name)
    return next((known[key] for key in (plain, re.sub(r" \d+$", "", plain), REST) if key in known), None)


def _plain(name: str) -> str:
    return name.casefold().replace("-", " ").replace("_", " ").strip()
