"""What one key cannot know: names that must exist, be unique, or not contradict each other.

Looks at the plain tables of the file, so that these mistakes are told together with those of single keys.
"""

import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_node.config.configuration import DEFAULT_ENGINES
from dicom_node.config.defaults import DEFAULT_RULES
from dicom_node.config.fields import did_you_mean
from dicom_node.config.sections import DestinationSettings, NodeSettings

Location = tuple[str | int, ...]
Tables = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong at a key, and what to do about it."""

    location: Location
    problem: str


def cross_check(file: Tables) -> list[Mistake]:
    """The mistakes that lie between keys."""
    return [
        *_unique(file, "engine"),
        *_unique(file, "destination"),
        *_engines(file),
        *_rules(file),
        *_ask(file),
        *_addresses(file),
        *_web(file),
    ]


def catalog_engines() -> tuple[str, ...]:
    """Names of the engines in engine/catalog, without importing any of it."""
    package = importlib.util.find_spec("engine")
    places = package.submodule_search_locations if package else None
    folders = [str(Path(place) / "catalog") for place in places or ()]
    return tuple(m.name.replace("_", "-") for m in pkgutil.iter_modules(folders) if not m.name.startswith("_"))


def _unique(file: Tables, key: str) -> Iterator[Mistake]:
    seen: dict[object, int] = {}
    for index, table in _tables(file, key):
        name = table.get("name")
        if isinstance(name, str) and seen.setdefault(name, index) != index:
            yield Mistake((key, index, "name"), f"is the name of another [[{key}]] too; give each its own")


def _engines(file: Tables) -> Iterator[Mistake]:
    ruled = {rule.get("engine") for _, rule in _tables(file, "rule")} | set(DEFAULT_RULES)
    known = catalog_engines()
    for index, table in _tables(file, "engine"):
        name = table.get("name")
        if not isinstance(name, str):
            continue
        if not table.get("module") and name not in known:
            hint = did_you_mean(name, known) or f"; there are: {', '.join(known)}; for another one say `module`"
            yield Mistake(("engine", index, "name"), f"engine/catalog has no such engine{hint}")
        elif name not in ruled and table.get("enabled", True) is True:
            yield Mistake(("engine", index, "name"), f'no [[rule]] says when it runs; add one with engine = "{name}"')


def _rules(file: Tables) -> Iterator[Mistake]:
    engines = _names(file, "engine") or list(DEFAULT_ENGINES)
    destinations = _names(file, "destination")
    for index, rule in _tables(file, "rule"):
        name = rule.get("engine")
        if isinstance(name, str) and name not in engines:
            yield Mistake(("rule", index, "engine"), _unknown(name, engines, "engine"))
        wanted = rule.get("destinations")
        for place, destination in enumerate(wanted if isinstance(wanted, list) else ()):
            if isinstance(destination, str) and destination not in destinations:
                yield Mistake(("rule", index, "destinations", place), _unknown(destination, destinations, "destination"))


def _ask(file: Tables) -> Iterator[Mistake]:
    assemble = file.get("assemble")
    asked = assemble.get("ask") if isinstance(assemble, dict) else None
    names = _names(file, "destination")
    if isinstance(asked, str) and asked and asked not in names:
        yield Mistake(("assemble", "ask"), _unknown(asked, names, "destination"))


def _addresses(file: Tables) -> Iterator[Mistake]:
    """Two destinations at one address under one AE title, and results sent to the node itself."""
    node = file.get("node") if isinstance(file.get("node"), dict) else {}
    own_title = (node or {}).get("ae_title", NodeSettings().ae_title)
    seen: dict[tuple[object, ...], object] = {}
    for index, table in _tables(file, "destination"):
        default_port = DestinationSettings.model_fields["port"].default
        address = (table.get("host"), table.get("port", default_port), table.get("ae_title"))
        if None in address:
            continue
        if seen.setdefault(address, index) != index:
            yield Mistake(
                ("destination", index, "port"), "another [[destination]] has the same host, port and AE title; remove one"
            )
        if table.get("ae_title") == own_title:
            yield Mistake(("destination", index, "ae_title"), "is the node's own AE title; write the PACS's")


def _web(file: Tables) -> Iterator[Mistake]:
    """Two services on one port, and a key without its certificate."""
    web, node = (table if isinstance(table := file.get(key), dict) else {} for key in ("web", "node"))
    if web.get("port") and web["port"] == node.get("port", NodeSettings().port):
        yield Mistake(("web", "port"), "is the port of [node], where C-STORE is received; give the web another")
    if web.get("key_file") and not web.get("certificate_file"):
        yield Mistake(("web", "key_file"), "has no certificate_file beside it; add the certificate of this key")


def _unknown(name: str, known: list[str], key: str) -> str:
    there = f"; there are: {', '.join(sorted(known))}" if known else "; there is none"
    hint = did_you_mean(name, known) or f"{there}; add a [[{key}]] with this name"
    return f"no [[{key}]] has this name{hint}"


def _names(file: Tables, key: str) -> list[str]:
    return [name for _, table in _tables(file, key) if isinstance(name := table.get("name"), str)]


def _tables(file: Tables, key: str) -> list[tuple[int, Tables]]:
    tables = file.get(key)
    if not isinstance(tables, list):
        return []
    return [(index, table) for index, table in enumerate(tables) if isinstance(table, dict)]
