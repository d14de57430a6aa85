"""On which line of a TOML text a key stands.

tomllib does not say, so the text is cut into statements, each of which tomllib reads alone.
"""

import tomllib
from collections.abc import Iterator
from typing import Any

Location = tuple[str | int, ...]


class Lines:
    """Line numbers by location: keys and, in arrays, indices."""

    def __init__(self, text: str) -> None:
        """From a text that tomllib accepts as a whole."""
        self._lines: dict[Location, int] = {(): 1}
        counts: dict[Location, int] = {}
        table: Location = ()
        for number, statement in _statements(text):
            if statement.lstrip().startswith("["):
                table = self._header(statement, counts)
                self._note(table, number)
            else:
                self._value(table, tomllib.loads(statement), number, statement)

    def line(self, location: Location) -> int:
        """The line of a location, or of the nearest that stands in the text around it; 1 if there is none."""
        place = location
        while place not in self._lines:
            place = place[:-1]
        return self._lines[place]

    def _note(self, location: Location, number: int) -> None:
        for length in range(1, len(location) + 1):
            self._lines.setdefault(location[:length], number)

    def _header(self, statement: str, counts: dict[Location, int]) -> Location:
        """The table that a [header] or [[header]] opens."""
        keys = _only_path(tomllib.loads(statement))
        is_array = statement.lstrip().startswith("[[")
        location: Location = ()
        for depth, key in enumerate(keys, 1):
            location = (*location, key)
            if is_array and depth == len(keys):
                counts[location] = counts.get(location, -1) + 1
            if location in counts:
                location = (*location, counts[location])
        return location

    def _value(self, location: Location, value: Any, number: int, statement: str) -> None:
        """Everything inside a key/value statement; elements of an array stand on the line on which they end."""
        self._note(location, number)
        if isinstance(value, dict):
            for key, inner in value.items():
                self._value((*location, key), inner, number, statement)
        elif isinstance(value, list):
            ends = _element_lines(statement) if statement.count("\n") > 1 else []
            for index, inner in enumerate(value):
                offset = ends[index] if index < len(ends) else 0
                self._value((*location, index), inner, number + offset, "")


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """(line number, text) of each header and each key = value; a statement ends where tomllib can read it."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not pending and line.strip().partition("#")[0] == "":
            continue
        start = start if pending else number
        pending += line
        if _reads(pending):
            yield start, pending
            pending = ""


def _element_lines(statement: str) -> list[int]:
    """For each element of the array `key = [ ...`, how many lines below the statement's first it ends."""
    lines = statement.splitlines(keepends=True)
    ends: list[int] = []
    for count in range(1, len(lines)):
        head = "".join(lines[:count]) + "]"
        if _reads(head):
            value: Any = tomllib.loads(head)
            while isinstance(value, dict):
                value = next(iter(value.values()))
            ends.extend([count - 1] * (len(value) - len(ends)))
    last = len(lines) - 1
    return [*ends, last]


def _reads(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _only_path(header: Any) -> list[str]:
    keys: list[str] = []
    while header:
        table = header[0] if isinstance(header, list) else header
        if not table:
            break
        keys.append(next(iter(table)))
        header = table[keys[-1]]
    return keys
