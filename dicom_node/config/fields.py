"""Kinds of values that keys of the configuration take, each with its rule."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict
from pydicom.datadict import keyword_dict

AE_TITLE_LENGTH = 16
UID_LENGTH = 64
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_KEYWORDS = frozenset(keyword for keyword in keyword_dict if keyword)


class Section(BaseModel):
    """A table of the file: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False, validate_default=True)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What is known and close to the word, as the end of a sentence; else nothing."""
    folded = {name.casefold(): name for name in sorted(known)}
    close = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def _ae_title(value: str) -> str:
    """Source: PS3.5 6.2, VR AE: 16 bytes of the default repertoire, no backslash, no control character, not only spaces."""
    if not value.strip():
        raise ValueError("an AE title must not be empty")
    if value != value.strip():
        raise ValueError("an AE title must not begin or end with a space; remove it")
    if len(value) > AE_TITLE_LENGTH:
        raise ValueError(f"an AE title has at most {AE_TITLE_LENGTH} characters, this one has {len(value)}")
    if not value.isascii() or not value.isprintable() or "\\" in value:
        raise ValueError("an AE title holds printable ASCII characters without a backslash")
    return value


def _optional_ae_title(value: str) -> str:
    return _ae_title(value) if value else value


def _network(value: str) -> str:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValueError("is no address and no block of addresses; write 10.1.2.3 or 10.1.0.0/16") from None
    return value


def _uid(value: str) -> str:
    if len(value) > UID_LENGTH or not _UID.fullmatch(value):
        raise ValueError(f"is no UID: numbers joined by dots, at most {UID_LENGTH} characters")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name has lower case letters, digits, - and _, and begins with a letter or digit")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}; put it in single quotes so that \\ stays as it is") from None
    return value


def _keyword(value: str) -> str:
    for part in value.split("."):
        if part not in _KEYWORDS or not part:
            raise ValueError(f"{part!r} is no DICOM keyword{did_you_mean(part, _KEYWORDS)}")
    return value


def _device(value: str) -> str:
    if not _DEVICE.fullmatch(value):
        raise ValueError('must be "auto", "cpu", "cuda" or "cuda:0", "cuda:1" ...')
    return value


def _absolute(value: str) -> str:
    if not PurePosixPath(value).is_absolute():
        raise ValueError(f"must be an absolute path, such as /{value.removeprefix('./')}")
    return value


def _optional_absolute(value: str) -> str:
    return _absolute(value) if value else value


def _module(value: str) -> str:
    if value.endswith(".py"):
        return _absolute(value)
    if value and not all(part.isidentifier() for part in value.split(".")):
        raise ValueError('must be "package.module" or the absolute path of a .py file')
    return value


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str | dict) else value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
OptionalAeTitle = Annotated[str, AfterValidator(_optional_ae_title)]
Network = Annotated[str, AfterValidator(_network)]
Uid = Annotated[str, AfterValidator(_uid)]
Name = Annotated[str, AfterValidator(_name)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Keyword = Annotated[str, AfterValidator(_keyword)]
Device = Annotated[str, AfterValidator(_device)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
OptionalPath = Annotated[str, AfterValidator(_optional_absolute)]
Module = Annotated[str, AfterValidator(_module)]
OneOrMany = BeforeValidator(_one_or_many)
"""Lets a list of one stand without its brackets."""
