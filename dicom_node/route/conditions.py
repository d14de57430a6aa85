"""Whether a condition of a rule holds for a series; if not, why not."""

import re
from typing import Any

from dicom_node.config.rules import TESTS, Condition, Scope, key_of
from dicom_node.model import Instance
from dicom_node.route.candidate import Candidate, as_number
from dicom_node.route.words import is_technical, outside, shown, spelled


def failure(condition: Condition, candidate: Candidate) -> str:
    """The first part of the condition that does not hold, with the value that failed; empty if all hold."""
    return next((words for check in _CHECKS if (words := check(condition, candidate))), "")


def lasting_failure(condition: Condition, candidate: Candidate) -> str:
    """As `failure`, but only of what further instances of the series cannot change."""
    return _modality(condition, candidate) or _calling_ae_title(condition, candidate)


def _modality(condition: Condition, candidate: Candidate) -> str:
    if not condition.modality:
        return ""
    modality = candidate.first("Modality")
    if modality in condition.modality:
        return ""
    return f"Modality {modality or 'is absent'}{',' if not modality else ''} is not {' or '.join(condition.modality)}"


def _body_part(condition: Condition, candidate: Candidate) -> str:
    if condition.body_part is None:
        return ""
    parts = [part for image in candidate.images if (part := image.first("BodyPartExamined"))]
    if any(re.search(condition.body_part, part) for part in parts):
        return ""
    return f"BodyPartExamined {shown(parts) or 'is absent and'} does not match {condition.body_part}"


def _calling_ae_title(condition: Condition, candidate: Candidate) -> str:
    if not condition.calling_ae_title:
        return ""
    titles = {image.calling_ae_title.strip() for image in candidate.images}
    if titles <= set(condition.calling_ae_title):
        return ""
    return f"sent from {shown(titles)}, not from {' or '.join(condition.calling_ae_title)}"


def _orientation(condition: Condition, candidate: Candidate) -> str:
    if not condition.orientation:
        return ""
    orientation = candidate.orientation()
    if orientation in condition.orientation:
        return ""
    wanted = " or ".join(condition.orientation)
    return f"slices are {orientation}, not {wanted}" if orientation else f"slices have no orientation, {wanted} is asked for"


def _slice_count(condition: Condition, candidate: Candidate) -> str:
    if condition.slice_count is None:
        return ""
    words = outside(candidate.slice_count(), condition.slice_count, "")
    return f"slice_count {words}" if words else ""


def _slice_thickness(condition: Condition, candidate: Candidate) -> str:
    if condition.slice_thickness_mm is None:
        return ""
    thickness = candidate.slice_thickness_mm()
    if thickness is None:
        return "slice_thickness_mm is neither told nor to be seen from positions"
    words = outside(thickness, condition.slice_thickness_mm, " mm")
    return f"slice_thickness_mm: {words}" if words else ""


def _attribute(condition: Condition, candidate: Candidate) -> str:
    if condition.attribute is None:
        return ""
    images = candidate.images[:1] if condition.scope is Scope.FIRST else candidate.images
    failed = [(image, test) for image in images if (test := _failed_test(condition, image))]
    holds = len(failed) < len(images) if condition.scope is Scope.ANY else not failed
    if holds:
        return ""
    return _attribute_words(condition, failed, len(images))


def _failed_test(condition: Condition, image: Instance) -> str:
    """The name of the first test that the image's attribute does not pass, else nothing."""
    values = tuple(v for v in image.attributes.get(condition.attribute or "", ()) if v)
    asked = [test for test in TESTS if getattr(condition, test) is not None]
    return next((test for test in asked if not _passes(test, condition, values)), "")


def _passes(test: str, condition: Condition, values: tuple[str, ...]) -> bool:
    wanted: Any = getattr(condition, test)
    if test == "present":
        return bool(values) is wanted
    if test == "not_matches":
        return not any(re.search(wanted, value) for value in values)
    if test in {"min", "max"}:
        return any(_within(condition, value) for value in values)
    if test == "matches":
        return any(re.search(wanted, value) for value in values)
    return any(value in wanted if test == "one_of" else value == wanted for value in values)


def _within(condition: Condition, value: str) -> bool:
    number = as_number(value)
    return (
        number is not None
        and (condition.min is None or number >= condition.min)
        and (condition.max is None or number <= condition.max)
    )


def _attribute_words(condition: Condition, failed: list[tuple[Instance, str]], count: int) -> str:
    keyword = condition.attribute or ""
    test = failed[0][1]
    among = f" in {len(failed)} of {count} instances" if len(failed) < count else ""
    if not is_technical(keyword):
        return f"{keyword} does not pass `{key_of(test)}`{among}"
    values = [value for image, _ in failed for value in image.attributes.get(keyword, ())]
    found = shown(values) or "(absent)"
    return f"{keyword} {found}{among} does not pass `{key_of(test)} = {getattr(condition, test)}`"


def _all_of(condition: Condition, candidate: Candidate) -> str:
    return next((words for inner in condition.all_of if (words := failure(inner, candidate))), "")


def _any_of(condition: Condition, candidate: Candidate) -> str:
    failures = [failure(inner, candidate) for inner in condition.any_of]
    return f"none of any_of holds ({'; '.join(failures)})" if failures and all(failures) else ""


def _none_of(condition: Condition, candidate: Candidate) -> str:
    held = next((inner for inner in condition.none_of if not failure(inner, candidate)), None)
    return f"none_of {spelled(held)} holds" if held else ""


_CHECKS = (
    _modality,
    _body_part,
    _calling_ae_title,
    _orientation,
    _slice_count,
    _slice_thickness,
    _attribute,
    _all_of,
    _any_of,
    _none_of,
)
