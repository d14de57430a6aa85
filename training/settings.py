"""Settings of a recipe: a TOML file of conf/recipes with single values replaced from the command line."""

import sysconfig
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from training.errors import TrainingError

_Settings = TypeVar("_Settings")
_BESIDE_THE_CODE = Path(__file__).parent.parent / "conf" / "recipes"
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "dicom-node" / "recipes"


def settings_file(recipe: str) -> Path:
    """The shipped settings of a recipe.

    Raises:
        TrainingError: there are none.
    """
    for folder in (_BESIDE_THE_CODE, _INSTALLED):
        if (folder / f"{recipe}.toml").is_file():
            return folder / f"{recipe}.toml"
    raise TrainingError(f"no settings {recipe}.toml in {_BESIDE_THE_CODE} or {_INSTALLED}: name a file with --settings")


def load_settings(kind: type[_Settings], path: Path, overrides: Sequence[str] = ()) -> _Settings:
    """Settings of a recipe: a frozen dataclass, whose fields may be dataclasses in turn (sections of the file).

    Args:
        kind: the dataclass; its defaults hold for what the file leaves out.
        path: the TOML file.
        overrides: "section.key=value" as in TOML; a word that is no TOML value is taken as text.

    Raises:
        TrainingError: the file or a value is refused; the message names file, key and remedy.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: is not TOML: {error}") from error
    for text in overrides:
        _override(values, text)
    return parse_settings(kind, values, str(path))


def parse_settings(kind: type[_Settings], values: Mapping[str, Any], name: str) -> _Settings:
    """The same from values; `name` says in messages where they are from.

    Raises:
        TrainingError: as `load_settings`.
    """
    _refuse_unknown(kind, values, name)
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        told = [f"{'.'.join(map(str, each['loc']))}: {_said(each)}" for each in error.errors(include_url=False)]
        raise TrainingError("\n".join(f"{name}: {line}" for line in told)) from error


def settings_values(settings: Any) -> dict[str, Any]:
    """Settings as plain values, which `parse_settings` takes."""
    values: dict[str, Any] = TypeAdapter(type(settings)).dump_python(settings, mode="json")
    return values


def _override(values: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise TrainingError(f"--set {text}: write it as key=value, such as plan.steps=100")
    *sections, last = key.strip().split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise TrainingError(f"--set {text}: {section} is a value, not a section")
    try:
        place[last] = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        place[last] = value.strip()


def _refuse_unknown(kind: Any, values: Mapping[str, Any], name: str, prefix: str = "") -> None:
    """Refuse misspelt keys: pydantic lets unknown keys of plain dataclasses pass, and they would have no effect."""
    known = [field.name for field in fields(kind)]
    types = get_type_hints(kind)
    for key, value in values.items():
        if key not in known:
            close = get_close_matches(key.casefold(), known, n=1, cutoff=0.6)
            remedy = f"did you mean {prefix}{close[0]}?" if close else f"there are: {', '.join(sorted(known))}"
            raise TrainingError(f"{name}: {prefix}{key} is no setting; {remedy}")
        if is_dataclass(types[key]) and isinstance(value, Mapping):
            _refuse_unknown(types[key], value, name, f"{prefix}{key}.")


def _said(detail: Any) -> str:
    words = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return "is missing; add it" if detail["type"] == "missing" else f"{detail['input']!r}: {words}"
