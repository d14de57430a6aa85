"""What a C-STORE response means for a delivery: the one table of statuses.

Source: DICOM PS3.4 Table B.2-1 (Storage), PS3.7 Annex C (general statuses).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stored:
    """The destination has the instance, as sent."""

    status: int


@dataclass(frozen=True, slots=True)
class StoredWithWarning:
    """The destination has the instance, and something to say about it."""

    status: int
    warning: str


@dataclass(frozen=True, slots=True)
class Transient:
    """Trying again later can help.

    Attributes:
        status: of the response, if there was one.
        alarm: a person should look although the node goes on trying.
        unreachable: no association came about, so that nothing else can be sent there now.
    """

    reason: str
    status: int | None = None
    alarm: bool = False
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Permanent:
    """The destination refuses this instance for good: a dead letter for a person."""

    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """The destination does not take this SOP class: the next fallback is due."""

    reason: str
    status: int | None = None


SendOutcome = Stored | StoredWithWarning | Transient | Permanent | NotAccepted

_STORED = range(0x0001)
_DUPLICATE = range(0x0111, 0x0112)
_WARNINGS: dict[range, str] = {
    range(0x0001, 0x0002): "requested optional attributes are not supported",
    range(0x0107, 0x0108): "attribute list error",
    range(0x0116, 0x0117): "attribute value out of range",
    range(0xB000, 0xB001): "coercion of data elements",
    range(0xB006, 0xB007): "elements discarded",
    range(0xB007, 0xB008): "data set does not match SOP class",
    range(0xB000, 0xC000): "warning",
}
_NEXT_FALLBACK: dict[range, str] = {range(0x0122, 0x0123): "SOP class not supported"}
_PERMANENT: dict[range, str] = {
    range(0x0105, 0x0106): "no such attribute",
    range(0x0106, 0x0107): "invalid attribute value",
    range(0x0115, 0x0116): "invalid argument value",
    range(0x0117, 0x0118): "invalid SOP instance",
    range(0x0119, 0x011A): "class and instance conflict",
    range(0x0120, 0x0121): "missing attribute",
    range(0x0121, 0x0122): "missing attribute value",
    range(0x0124, 0x0125): "not authorised",
    range(0xA900, 0xAA00): "data set does not match SOP class",
    range(0xC000, 0xD000): "cannot understand",
}
_TRANSIENT: dict[range, str] = {
    range(0x0213, 0x0214): "resource limitation",
    range(0xA700, 0xA800): "out of resources",
}


def outcome_of(status: int, comment: str = "") -> SendOutcome:
    """What a status means. What no table names is tried again, with an alarm: a result is never given up on a guess.

    A duplicate counts as stored: the UID of a result is derived from its content.

    Args:
        status: (0000,0900) of the C-STORE response.
        comment: (0000,0902), as the destination wrote it.
    """
    if status in _STORED or status in _DUPLICATE:
        return Stored(status)
    if word := _word(_WARNINGS, status, comment):
        return StoredWithWarning(status, word)
    if word := _word(_NEXT_FALLBACK, status, comment):
        return NotAccepted(word, status)
    if word := _word(_PERMANENT, status, comment):
        return Permanent(status, word)
    known = _word(_TRANSIENT, status, comment)
    return Transient(known or _worded("unforeseen status", status, comment), status, alarm=not known)


def _word(table: dict[range, str], status: int, comment: str) -> str:
    return next((_worded(word, status, comment) for statuses, word in table.items() if status in statuses), "")


def _worded(word: str, status: int, comment: str) -> str:
    return f"{word} ({status:04X}H{f': {comment}' if comment else ''})"
