"""Small tables that stand beside labelled data and say what the files do not: patients.csv, structures.csv."""

import csv
from pathlib import Path

from training.errors import LabelError


def read_table(path: Path, key: str, value: str) -> dict[str, str]:
    """Two columns of a CSV file with a heading, the second by the first; other columns may stand beside them.

    Raises:
        LabelError: it cannot be read, a line lacks one of the two, or has a key that another line has.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"{path} cannot be read: save it as CSV in UTF-8") from error
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        name, told = ((row.get(column) or "").strip() for column in (key, value))
        if not name or not told:
            raise LabelError(f"{path}, line {number}: write {key},{value} into the first line, and both into every other")
        if name in found:
            raise LabelError(f"{path}, line {number}: another line has this {key} too; leave one")
        found[name] = told
    return found
