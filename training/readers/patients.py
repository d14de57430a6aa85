"""Whose images files hold that do not say it: patients.csv beside the data."""

from collections.abc import Sequence
from pathlib import Path

from training.errors import LabelError
from training.readers.labelled_case import pseudonym
from training.readers.tables import read_table

FILE = "patients.csv"


def patients_of(folder: Path, names: Sequence[str], endings: Sequence[str]) -> tuple[str, ...]:
    """The pseudonym of each file's patient; without the table each file counts as a patient of its own.

    Args:
        folder: may hold patients.csv with the columns file and patient.
        names: of the files, without ending.
        endings: that the table's names may have.

    Raises:
        LabelError: the table cannot be read, lacks a file, or has one twice.
    """
    table = folder / FILE
    if not table.is_file():
        return tuple(pseudonym(name) for name in names)
    listed = read_table(table, "file", "patient")
    told = {_bare(file, endings): patient for file, patient in listed.items()}
    if len(told) < len(listed):
        raise LabelError(f"{table} names a file twice, with and without its ending; leave one")
    if missing := [name for name in names if name not in told]:
        raise LabelError(f"{table} has no line for {len(missing)} of {len(names)} images, such as {missing[0]}: add them")
    return tuple(pseudonym(told[name]) for name in names)


def _bare(file: str, endings: Sequence[str]) -> str:
    ending = next((ending for ending in endings if file.endswith(ending)), "")
    return file.removesuffix(ending)
