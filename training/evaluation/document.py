"""What a report says, before it is HTML or JSON: sections of figures, tables and pictures."""

import math
from dataclasses import dataclass, field
from typing import Any

from training.metrics.intervals import Interval


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of merit with its interval and number of cases.

    Attributes:
        name: "Dice", "AUC" ...
        of: what it is about: a structure, a model, a subgroup.
        unit: empty for shares between 0 and 1.
    """

    name: str
    of: str
    interval: Interval
    unit: str = ""

    def __str__(self) -> str:
        digits = 1 if self.unit else 3
        estimate = _number(self.interval.estimate, digits)
        if math.isnan(self.interval.low):
            return f"{estimate} {self.unit}".strip()
        low, high = (_number(value, digits) for value in (self.interval.low, self.interval.high))
        return f"{estimate} {self.unit}".strip() + f" ({low} to {high})"


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text, ready to print."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG file in memory; the caption says what the colours mean."""

    caption: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Section:
    """One chapter."""

    title: str
    text: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Report:
    """The whole.

    Attributes:
        identity: what was evaluated: engine, model, version, digest of the weights; names and values.
        data: what it was evaluated on, in sentences.
        verdict: of the comparison, in words; empty without one.
        details: what else a program may want from metrics.json.
    """

    title: str
    identity: dict[str, str]
    data: tuple[str, ...]
    sections: tuple[Section, ...]
    verdict: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def figure_table(figures: tuple[Figure, ...], title: str = "") -> Table:
    """One line for each thing, one column for each figure; undefined figures stay empty."""
    names = list(dict.fromkeys(figure.name for figure in figures))
    by_thing: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        by_thing.setdefault(figure.of, {})[figure.name] = figure
    rows = []
    for thing, own in by_thing.items():
        cells = [str(own[name]) if name in own else "" for name in names]
        rows.append((thing, *cells, _count([figure.interval for figure in own.values()])))
    return Table(title, ("", *names, "n"), tuple(rows), note="Brackets: 95 % interval, bootstrap by patient.")


def to_json(report: Report) -> dict[str, Any]:
    """Everything but the pictures; undefined numbers are null."""
    return {
        "title": report.title,
        "identity": report.identity,
        "data": list(report.data),
        "verdict": report.verdict,
        "sections": [_section(section) for section in report.sections],
        **report.details,
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "text": list(section.text),
        "figures": [
            {
                "name": figure.name,
                "of": figure.of,
                "unit": figure.unit,
                "estimate": _or_null(figure.interval.estimate),
                "low": _or_null(figure.interval.low),
                "high": _or_null(figure.interval.high),
                "cases": figure.interval.cases,
                "patients": figure.interval.patients,
            }
            for figure in section.figures
        ],
        "tables": [
            {"title": table.title, "columns": list(table.columns), "rows": [list(row) for row in table.rows]}
            for table in section.tables
        ],
    }


def _count(intervals: list[Interval]) -> str:
    counts = sorted({interval.cases for interval in intervals})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}, by figure"


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value
