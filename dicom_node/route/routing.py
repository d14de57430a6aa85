"""Which engines run on a series: pure, the same answer for the same series, rules and study."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dicom_node.config.rules import Condition, RoleSettings, RuleSettings
from dicom_node.model import Decision, Series
from dicom_node.route.candidate import Candidate
from dicom_node.route.companions import companions_of
from dicom_node.route.refusals import DEVICE_UID_KEYWORDS, Ours, candidate_of
from dicom_node.route.study import StudySeries, Verdict, best_of_study, rule_failure

BUILT_IN_KEYWORDS = frozenset(
    {
        "BodyPartExamined",
        "ConvolutionKernel",
        "ImageOrientationPatient",
        "ImageType",
        "InstanceNumber",
        "Modality",
        "SeriesDescription",
        "SeriesNumber",
        "SliceThickness",
        *DEVICE_UID_KEYWORDS,
    }
)
"""Attributes that routing looks at whatever the rules are."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine that runs: by which rule, and with which other series by role."""

    rule: RuleSettings
    companions: Mapping[str, Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Routing:
    """What was decided on a series.

    Attributes:
        decisions: one for every engine, in the order of the rules.
        deferred: engines whose decision waits until other series of the study are whole; their decision says not chosen, and
            for which series it waits. While there is one, the series is to be routed again, not closed.
        choices: the rule by which each chosen engine was chosen (priority, destinations) and its companions, in the same order.
        left_out: SOP Instance UIDs that were not judged: localizers among the slices and the like.
    """

    decisions: tuple[Decision, ...]
    deferred: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[str, ...]:
        return tuple(decision.engine for decision in self.decisions if decision.chosen)


def route(
    series: Series,
    rules: Sequence[RuleSettings],
    *,
    engines: Sequence[str] = (),
    disabled: Collection[str] = (),
    study: Sequence[StudySeries] = (),
    ours: Ours | None = None,
) -> Routing:
    """Decide for every engine whether it runs on the series, and say why.

    Args:
        series: whole, with the attributes that `keywords_of` names.
        rules: in order; of an engine's rules the first that matches decides.
        engines: further engines to decide on, whether a rule names them or not.
        disabled: engines that do not run whatever the rules say.
        study: the series of the same study, this one included or not; needed by rules with best_of_study.
        ours: what the node made itself.
    """
    known = ours or Ours()
    candidate, refusal = candidate_of(series, known)
    verdicts: dict[str, Verdict] = {}
    for engine in dict.fromkeys([*(rule.engine for rule in rules), *engines]):
        own_rules = [rule for rule in rules if rule.engine == engine]
        if engine in disabled:
            verdicts[engine] = Verdict(chosen=False, reason="disabled in the configuration")
        elif refusal:
            verdicts[engine] = Verdict(chosen=False, reason=refusal)
        else:
            verdicts[engine] = _accompanied(_judge(engine, own_rules, candidate, study, known), candidate, study, known)
    return Routing(
        tuple(Decision(name, series.series_instance_uid, v.chosen, v.reason) for name, v in verdicts.items()),
        tuple(name for name, verdict in verdicts.items() if verdict.deferred),
        tuple(Choice(v.rule, v.companions) for v in verdicts.values() if v.chosen and v.rule),
        tuple(instance.sop_instance_uid for instance in candidate.left_out),
    )


def keywords_of(rules: Iterable[RuleSettings]) -> frozenset[str]:
    """The attributes that must be collected of each instance so that these rules can be judged."""
    found = set(BUILT_IN_KEYWORDS)
    for rule in rules:
        named: list[RuleSettings | RoleSettings] = [rule, *rule.roles.values()]
        for wanted in named:
            found.update(preference.attribute for preference in wanted.prefer)
            for condition in wanted.when:
                found.update(_keywords(condition))
    return frozenset(found)


def _keywords(condition: Condition) -> set[str]:
    inner = (*condition.all_of, *condition.any_of, *condition.none_of)
    return {condition.attribute or "Modality"}.union(*map(_keywords, inner))


def _judge(
    engine: str, rules: Sequence[RuleSettings], candidate: Candidate, study: Sequence[StudySeries], ours: Ours
) -> Verdict:
    if not rules:
        return Verdict(chosen=False, reason="no rule names this engine")
    failures = [rule_failure(rule, candidate) for rule in rules]
    place = next((place for place, words in enumerate(failures) if not words), None)
    if place is None:
        numbered = [f"rule {n}: {words}" for n, words in enumerate(failures, 1)] if len(rules) > 1 else failures
        return Verdict(chosen=False, reason="; ".join(numbered) + _note(candidate))
    rule = rules[place]
    which = f"rule {place + 1} of {len(rules)}" if len(rules) > 1 else "the rule"
    matched = f"{which} matches ({candidate.facts()}{_note(candidate)})"
    if not rule.best_of_study or _has_job(engine, candidate, study):
        again = "; it ran on this series before" if _has_job(engine, candidate, study) else ""
        return Verdict(chosen=True, reason=matched + again, rule=rule)
    others = [entry for entry in study if entry.series.series_instance_uid != candidate.uid]
    return best_of_study(engine, rules, place, candidate, others, ours, matched)


def _accompanied(verdict: Verdict, candidate: Candidate, study: Sequence[StudySeries], ours: Ours) -> Verdict:
    """A chosen engine with the other series that it needs, or the word that it waits for them."""
    if not verdict.chosen or verdict.rule is None or not verdict.rule.roles:
        return verdict
    found = companions_of(verdict.rule, candidate.uid, study, ours)
    if found.waits_for:
        names = ", ".join(found.waits_for)
        return Verdict(chosen=False, reason=f"waits for {names} of the study, which may be of use to it", deferred=True)
    return replace(verdict, reason=f"{verdict.reason}; {found.words}", companions=found.series)


def _has_job(engine: str, candidate: Candidate, study: Sequence[StudySeries]) -> bool:
    return any(entry.series.series_instance_uid == candidate.uid and engine in entry.engines for entry in study)


def _note(candidate: Candidate) -> str:
    return f"; {candidate.remark}" if candidate.remark else ""
