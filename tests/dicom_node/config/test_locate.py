"""Keys are found on the line on which a person reads them."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.config.locate import Lines

TEXT = '''title = "x" # [not.a.table]
"quoted key" = 1

[a]
text = """
[b]
c = 1
"""
list = [
  1, 2, # ]
  [3],
  { deep = 4 }
]
[[a.b]]
c.d = 1
[[a.b]]
c.d = 2
  [a.b.e]
  f = { g = 1, h = 2 }
'''


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("title",), 1),
        (("quoted key",), 2),
        (("a",), 4),
        (("a", "text"), 5),
        (("a", "list"), 9),
        (("a", "list", 1), 10),
        (("a", "list", 2), 11),
        (("a", "list", 3, "deep"), 12),
        (("a", "b", 0), 14),
        (("a", "b", 0, "c", "d"), 15),
        (("a", "b", 1, "c", "d"), 17),
        (("a", "b", 1, "e", "f", "h"), 19),
        (("a", "b", 1, "missing"), 16),
        (("nothing",), 1),
    ],
)
def test_a_location_has_its_line(location: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TEXT)
    assert Lines(TEXT).line(location) == line


KEYS = st.text("abc", min_size=1, max_size=3)


@given(
    st.dictionaries(KEYS, st.dictionaries(KEYS, st.integers() | st.lists(st.integers(), max_size=3), max_size=4), max_size=4)
)
def test_every_key_is_on_the_line_that_wrote_it(tables: dict[str, dict[str, object]]) -> None:
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for table, keys in tables.items():
        lines.append(f"[{table}]")
        expected[table,] = len(lines)
        for key, value in keys.items():
            expected[table, key] = len(lines) + 1
            lines.extend(f"{key} = {value}".replace(", ", ",\n").splitlines())
    located = Lines("\n".join(lines) + "\n")
    assert {location: located.line(location) for location in expected} == expected
