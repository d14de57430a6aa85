"""One series of a study is enough: which is the best, and must the decision wait for others?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from dicom_node.config.rules import RuleSettings
from dicom_node.model import Series
from dicom_node.route.candidate import Candidate
from dicom_node.route.conditions import failure, lasting_failure
from dicom_node.route.preferences import Rank, comparison, rank
from dicom_node.route.refusals import Ours, candidate_of


class Stage(StrEnum):
    """How far another series of the study is."""

    COLLECTING = "collecting"  # assembly still waits for instances
    WHOLE = "whole"  # complete, or no longer waited for; not yet closed by a routing
    ROUTED = "routed"  # closed: what runs on it was decided


@dataclass(frozen=True, slots=True)
class StudySeries:
    """A series of the study.

    Attributes:
        engines: that have a job on it, in any state but cancelled.
    """

    series: Series
    stage: Stage = Stage.WHOLE
    engines: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one engine; the rule is that by which it was chosen, the companions are by role."""

    chosen: bool
    reason: str
    rule: RuleSettings | None = None
    deferred: bool = False
    companions: Mapping[str, Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rival:
    """Another series of the study that an engine could run on instead."""

    candidate: Candidate
    entry: StudySeries
    place: int
    rank: Rank


def best_of_study(
    engine: str,
    rules: Sequence[RuleSettings],
    place: int,
    candidate: Candidate,
    others: Sequence[StudySeries],
    ours: Ours,
    matched: str,
) -> Verdict:
    """One series of the study is enough: is it this one?"""
    taken = min((entry for entry in others if engine in entry.engines), key=_uid, default=None)
    if taken is not None:
        told = candidate_of(taken.series, ours)[0]
        return Verdict(chosen=False, reason=f"one series of a study is enough: already runs on {told.name()} ({told.facts()})")
    rivals = _rivals(rules, others, ours)
    own = (place, rank(rules[place].prefer, candidate), candidate.uid)
    whole = sorted((r for r in rivals if r.entry.stage is Stage.WHOLE), key=_key)
    if whole and _key(whole[0]) < own:
        best = whole[0]
        because = _because(rules, best.place, best.candidate, place, candidate)
        return Verdict(chosen=False, reason=f"{best.candidate.name()} ({best.candidate.facts()}) is better: {because}")
    waiting = sorted((entry for entry in others if _may_come(rules, entry, ours)), key=_uid)
    if waiting:
        names = ", ".join(candidate_of(entry.series, ours)[0].name() for entry in waiting)
        return Verdict(chosen=False, reason=f"waits for {names} of the study: the best of them is run", deferred=True)
    over = [
        f"{r.candidate.name()} ({r.candidate.facts()}) because {_because(rules, place, candidate, r.place, r.candidate)}"
        for r in whole
    ]
    reason = f"{matched}; chosen over {', over '.join(over)}" if over else f"{matched}; no other series of the study qualifies"
    return Verdict(chosen=True, reason=reason, rule=rules[place])


def _rivals(rules: Sequence[RuleSettings], others: Sequence[StudySeries], ours: Ours) -> list[_Rival]:
    """Series for which an engine's first matching rule wants the best of the study too."""
    found = []
    for entry in others:
        candidate, refusal = candidate_of(entry.series, ours)
        if refusal:
            continue
        place = next((place for place, rule in enumerate(rules) if not rule_failure(rule, candidate)), None)
        if place is not None and rules[place].best_of_study:
            found.append(_Rival(candidate, entry, place, rank(rules[place].prefer, candidate)))
    return found


def _may_come(rules: Sequence[RuleSettings], entry: StudySeries, ours: Ours) -> bool:
    """Whether a series that is still collecting may qualify when it is whole."""
    if entry.stage is not Stage.COLLECTING:
        return False
    candidate, refusal = candidate_of(entry.series, ours)
    lasting = all(any(lasting_failure(condition, candidate) for condition in rule.when) for rule in rules if rule.best_of_study)
    return not refusal and not lasting


def _because(rules: Sequence[RuleSettings], place: int, better: Candidate, other_place: int, worse: Candidate) -> str:
    if place != other_place:
        return f"rule {place + 1} stands before rule {other_place + 1}"
    return comparison(rules[place], better, worse)


def _uid(entry: StudySeries) -> str:
    return entry.series.series_instance_uid


def _key(rival: _Rival) -> tuple[int, Rank, str]:
    return rival.place, rival.rank, rival.candidate.uid


def rule_failure(rule: RuleSettings, candidate: Candidate) -> str:
    """The first condition of the rule that does not hold, in words; empty if the rule matches."""
    return next((words for condition in rule.when if (words := failure(condition, candidate))), "")
