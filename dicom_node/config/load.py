"""Read the file once, and refuse it with every mistake at once."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dicom_node.config.configuration import NodeConfiguration
from dicom_node.config.cross_checks import Location, Mistake, cross_check
from dicom_node.config.fields import did_you_mean
from dicom_node.config.locate import Lines
from dicom_node.errors import ConfigurationError

LONGEST_VALUE = 60


def load(path: Path) -> NodeConfiguration:
    """The configuration in a TOML file.

    Raises:
        ConfigurationError: the file cannot be read, or has mistakes; the message names file, line, key, value, remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: no such file; copy conf/node.toml there, or name another with --config") from error
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> NodeConfiguration:
    """The configuration in a text; `name` stands for the file in messages.

    Raises:
        ConfigurationError: as `load`.
    """
    try:
        file = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name}: is not TOML: {error}; texts stand in quotes, lists in [brackets]") from error
    mistakes = cross_check(file)
    try:
        configuration = NodeConfiguration.model_validate(file)
    except ValidationError as error:
        mistakes = [*(_mistake(detail) for detail in error.errors(include_url=False)), *mistakes]
    if mistakes:
        raise ConfigurationError(_message(name, text, file, mistakes))
    return configuration


def _message(name: str, text: str, file: Mapping[str, Any], mistakes: Iterable[Mistake]) -> str:
    lines = Lines(text)
    told = sorted({(lines.line(m.location), _sentence(file, m)) for m in mistakes})
    return "\n".join(f"{name}:{line}: {sentence}" for line, sentence in told)


def _sentence(file: Mapping[str, Any], mistake: Mistake) -> str:
    value: Any = file
    for step in mistake.location:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return f"{_spelled(mistake.location)}: {mistake.problem}"
    return f"{_spelled(mistake.location)} = {_shown(value)}: {mistake.problem}"


def _spelled(location: Location) -> str:
    """A location as a person counts: `rule 2, when 1, attribute`."""
    words: list[str] = []
    for step in location:
        if isinstance(step, int) and words:
            words[-1] += f" {step + 1}"
        else:
            words.append(str(step))
    section, *rest = words
    return f"[{section}] {', '.join(rest)}" if rest else f"[{section}]"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    shown = "{...}" if isinstance(value, dict) else repr(value)
    return shown if len(shown) <= LONGEST_VALUE else shown[: LONGEST_VALUE - 3] + "..."


def _mistake(detail: ErrorDetails) -> Mistake:
    location = tuple(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return Mistake(location, f"unknown key{_known_key(location)}")
    if detail["type"] == "missing":
        return Mistake(location, "is missing; add it")
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if "expected" in detail.get("ctx", {}) and isinstance(detail["input"], str):
        message += did_you_mean(
            detail["input"], tuple(detail["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", "))
        )
    return Mistake(location, message)


def _known_key(location: Location) -> str:
    """What could have been meant by an unknown key, else what there is."""
    known = keys_of(model_at(location[:-1]))
    return did_you_mean(str(location[-1]), tuple(known)) or f"; there are: {', '.join(sorted(known))}"


def model_at(location: Location) -> type[BaseModel]:
    """The model of the table at a location of the file."""
    model: type[BaseModel] = NodeConfiguration
    for step in location:
        if isinstance(step, str) and step in keys_of(model):  # not the name of a role
            model = table_model(model.model_fields[keys_of(model)[step]].annotation) or model
    return model


def keys_of(model: type[BaseModel]) -> dict[str, str]:
    """The field's name by its key in the file."""
    return {str(field.validation_alias or name): name for name, field in model.model_fields.items()}


def table_model(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as tuple[Model, ...] or Model | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := table_model(inner))), None)
