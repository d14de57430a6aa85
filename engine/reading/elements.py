"""Single DICOM elements as plain numbers, whatever the file holds."""

import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from engine.api import Refusal

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and the codecs raise on damaged input; RecursionError of deep nesting is a RuntimeError, UnicodeError a
ValueError. OSError is not among them: it may be the disk's."""


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turns any damage met inside into a Refusal that begins with `what`."""
    try:
        yield
    except RecursionError as error:
        raise Refusal(f"{what}: its sequences are nested too deeply; the file is damaged or hostile.") from error
    except OSError as error:
        if error.errno not in (None, EINVAL):
            raise  # the disk's; without a number it is pydicom's, and EINVAL is a length that leads out of the file
        raise Refusal(f"{what}: the file is damaged or incomplete. Send it again.") from error
    except DAMAGE as error:
        raise Refusal(f"{what}: the file is damaged or incomplete ({type(error).__name__}). Send it again.") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without pydicom's warnings on odd values: the reader judges them itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """The element's values; None where it is absent, unreadable, not finite or of another multiplicity."""
    try:
        value = dataset.get(keyword)
        values = tuple(float(item) for item in (value if count > 1 else [value]))
    except (TypeError, ValueError, ArithmeticError):
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def number(dataset: Dataset, keyword: str) -> float | None:
    values = numbers(dataset, keyword, 1)
    return values[0] if values else None


def integer(dataset: Dataset, keyword: str, default: int = 0) -> int:
    value = number(dataset, keyword)
    return default if value is None else int(value)


def text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def values(dataset: Dataset, keyword: str) -> list[str]:
    """The values of a text element, in upper case."""
    value: Any = dataset.get(keyword)
    if value is None or isinstance(value, str):
        value = [value] if value else []
    return [str(item).strip().upper() for item in value]
