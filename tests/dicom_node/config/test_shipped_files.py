"""What is shipped loads, and names every key."""

import re
from pathlib import Path

import pytest

from dicom_node.config import NodeConfiguration, load, parse
from dicom_node.config.cross_checks import catalog_engines
from dicom_node.config.describe import describe, markdown
from engine.loading import available

ROOT = Path(__file__).parents[3]
SHIPPED = sorted([*(ROOT / "conf").glob("*.toml"), *(ROOT / "conf/examples").glob("*.toml")])
COMMENTED = re.compile(r"^# (?=\[|\]|  \{|[a-z_]+ = )", re.MULTILINE)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_file_loads(path: Path) -> None:
    assert load(path).effective_rules()


def test_the_shipped_node_toml_changes_no_default() -> None:
    assert load(ROOT / "conf/node.toml") == NodeConfiguration()


def uncommented() -> str:
    return COMMENTED.sub("", (ROOT / "conf/node.toml").read_text())


def test_what_node_toml_shows_in_comments_loads_and_states_the_defaults() -> None:
    shown, defaults = parse(uncommented(), "node.toml"), NodeConfiguration()
    assert (shown.node, shown.assemble, shown.retention) == (defaults.node, defaults.assemble, defaults.retention)
    assert shown.receive.model_copy(update={"peers": ()}) == defaults.receive
    assert shown.inference.model_copy(update={"memory_limit_bytes": None}) == defaults.inference
    assert shown.engines == defaults.engines


def test_node_toml_shows_and_explains_every_key() -> None:
    text = (ROOT / "conf/node.toml").read_text()
    missing = [
        f"{table.header} {key.name}"
        for table in describe()
        for key in table.keys
        if not re.search(rf"(?:^|[# {{]){re.escape(key.name)} = |\[\[?(?:\w+\.)?{key.name}\]\]?", text, re.MULTILINE)
    ]
    assert not missing
    told = [key.description for t in describe() for key in t.keys if t.header in {"[node]", "[receive]", "[[destination]]"}]
    assert [words for words in told if words not in text and "who may open" not in words] == []


def test_the_documentation_has_every_key() -> None:
    assert markdown(describe()).strip() in (ROOT / "docs/configuration.md").read_text()


def test_every_key_has_one_line_of_description() -> None:
    keys = [key for table in describe() for key in table.keys]
    assert [key.name for key in keys if not key.description or "\n" in key.description] == []


def test_the_catalog_is_known_without_importing_it() -> None:
    assert catalog_engines() == available()
