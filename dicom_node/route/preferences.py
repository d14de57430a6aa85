"""Which of two series is the better one by a rule's preferences, and why."""

import re
from collections.abc import Sequence

from dicom_node.config.rules import Preference, RuleSettings
from dicom_node.route.candidate import Candidate
from dicom_node.route.words import is_technical, shown

Rank = tuple[float, ...]


def rank(prefer: Sequence[Preference], candidate: Candidate) -> Rank:
    """One number for each preference; the lower, the better."""
    return tuple(_number(preference, candidate) for preference in prefer)


def comparison(rule: RuleSettings, better: Candidate, worse: Candidate) -> str:
    """Why the first is better, in words; by UID if no preference tells them apart."""
    for preference in rule.prefer:
        if _number(preference, better) != _number(preference, worse):
            return f"{_words(preference, better)} against {_words(preference, worse)}"
    return "no preference tells them apart, the lower Series Instance UID decides"


def _number(preference: Preference, candidate: Candidate) -> float:
    if preference.thinnest_from_mm is not None:
        thickness = candidate.slice_thickness_mm()
        return float("inf") if thickness is None else max(thickness, preference.thinnest_from_mm)
    if preference.most_slices:
        return -candidate.slice_count()
    values = _values(preference, candidate)
    places = (place for place, pattern in enumerate(preference.order) if any(re.search(pattern, value) for value in values))
    return next(places, len(preference.order))


def _words(preference: Preference, candidate: Candidate) -> str:
    if preference.thinnest_from_mm is not None:
        thickness = candidate.slice_thickness_mm()
        return "unknown thickness" if thickness is None else f"{thickness:g} mm"
    if preference.most_slices:
        return f"{candidate.slice_count()} slices"
    if not is_technical(preference.attribute):
        return f"{preference.attribute} in place {_number(preference, candidate) + 1:.0f}"
    return f"{preference.attribute} {shown(_values(preference, candidate)) or '(absent)'}"


def _values(preference: Preference, candidate: Candidate) -> tuple[str, ...]:
    return tuple(v for image in candidate.images for v in image.attributes.get(preference.attribute, ()) if v)
