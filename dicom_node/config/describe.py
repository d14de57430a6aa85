"""Every key of the file, as the documentation tells it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dicom_node.config.configuration import NodeConfiguration
from dicom_node.config.load import keys_of, table_model


@dataclass(frozen=True, slots=True)
class Key:
    """One key of one table.

    Attributes:
        default: as the file spells it; empty where the key must be given, or absence is the default.
    """

    name: str
    default: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of table: `[node]`, `[[rule]]`, or one written in braces inside others (`{ min = , max = }`)."""

    header: str
    purpose: str
    keys: tuple[Key, ...]


def describe() -> tuple[Table, ...]:
    """All tables of the file in the order of the models, those inside others after them."""
    return tuple(_tables(NodeConfiguration, (), set()))


def markdown(tables: tuple[Table, ...]) -> str:
    """The tables for docs/configuration.md."""
    return "\n".join(_section(table) for table in tables)


def _tables(model: type[BaseModel], path: tuple[str, ...], seen: set[type[BaseModel]]) -> Iterator[Table]:
    for name, field_name in keys_of(model).items():
        inner = table_model(model.model_fields[field_name].annotation)
        if inner is None or inner in seen:
            continue
        seen.add(inner)
        yield Table(_header(model.model_fields[field_name], (*path, name)), inner.__doc__ or "", tuple(_keys(inner)))
        yield from _tables(inner, (*path, name), seen)


def _header(field: FieldInfo, path: tuple[str, ...]) -> str:
    dotted = ".".join(path)
    if get_origin(field.annotation) is dict:
        return f"[{dotted}.NAME]"
    return f"[[{dotted}]]" if isinstance(field.default, tuple) else f"[{dotted}]"


def _keys(model: type[BaseModel]) -> Iterator[Key]:
    for name, field_name in keys_of(model).items():
        field = model.model_fields[field_name]
        yield Key(name, _spelled(field), field.is_required(), field.description or "")


def _spelled(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    return "" if default is PydanticUndefined or default is None else spelled(default)


def spelled(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(spelled, value)) + "]"
    if isinstance(value, dict):
        return "{}"
    return json.dumps(value.value if isinstance(value, Enum) else value, ensure_ascii=False)


def _section(table: Table) -> str:
    rows = [f"| `{k.name}` | {_shown_default(k)} | {_cell(k.description)} |" for k in table.keys]
    return "\n".join(
        [f"### `{table.header}`", "", table.purpose, "", "| key | default | meaning |", "|---|---|---|", *rows, ""]
    )


def _shown_default(key: Key) -> str:
    if key.required:
        return "*must be given*"
    return f"`{key.default}`" if key.default else "absent"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
