"""Human tables by default, JSON for scripts."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

# Texts of scanners and people are printed as they are: "[/b]" in a Series Description is no markup.
console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Dataclasses, paths and enumerations included; keys in the order of their fields."""
    print(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table, or a line that says that there is nothing."""
    lines = [[("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not lines:
        console.print(f"{title}: none")
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*line)
    console.print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Names and values, one pair a line."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, str(value))
    console.print(table)


def moment(at: float | None) -> str:
    """Local date and time to the second; empty for none."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def about(seconds: float) -> str:
    """A length of time, roughly: minutes up to an hour and a half, hours up to two days, else days."""
    minutes, hours, days = (max(1, round(seconds / unit)) for unit in (60, 3600, 86_400))
    return f"{minutes} min" if minutes <= 90 else f"{hours} h" if hours <= 48 else f"{days} days"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
