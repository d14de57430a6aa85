"""Real labelled examinations as training cases: read once, brought to the network's grid, divided by patient."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.cases import Case
from training.distributed import current_group, wait_for_leader
from training.errors import LabelError
from training.readers.any_folder import read_folder
from training.readers.labelled_case import LabelledCase
from training.regrid import on_canonical_grid
from training.run import Run
from training.sampling import Mixture, Pool
from training.splits import one_fold

INDEX = "index.json"
FIRST_REAL = 1_000_000


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
        LabelError: the data cannot be read, or name no structure that the network knows.
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
    patients = []
    for number, case in enumerate(read_folder(data, form.modality)):
        image, labels = on_canonical_grid(with_labels(case, form), form.spacing_mm, form.outside)
        if form.prepare is not None:
            image, labels = form.prepare((image, labels))
        np.savez(folder / f"{number:05d}.npz", image=image, labels=labels)
        patients.append(case.patient)
    (folder / INDEX).write_text(json.dumps(patients), encoding="utf-8")


def with_labels(case: LabelledCase, form: RealForm) -> LabelledCase:
    """The case with the numbers of the network's labels; structures that it does not know become background.

    Labels without a name (NIfTI pairs) count as the network's own numbers.

    Raises:
        LabelError: it knows none of them.
    """
    unnamed = {f"label {number}": number for number in range(len(form.labels))}
    named = {name: number for number, name in enumerate(form.labels)}
    known = {_plain(name): number for name, number in (unnamed | named | dict(form.also)).items()}
    numbers: Mapping[int, int] = {own: known.get(_plain(name), 0) for own, name in enumerate(case.structures)}
    if not any(numbers.values()):
        raise LabelError(
            f"{case.name} has the structures {', '.join(case.structures[1:]) or 'none'}; the network learns "
            f"{', '.join(form.labels[1:])}: rename them in the data"
        )
    table = np.array([numbers[own] for own in range(len(case.structures))], np.uint8)
    return LabelledCase(case.name, case.patient, case.image, table[case.labels], case.affine, case.modality, tuple(form.labels))


def _plain(name: str) -> str:
    return name.casefold().replace("-", " ").replace("_", " ").strip()
