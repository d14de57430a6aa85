"""Other series of the study that an engine looks at beside its own: which of them takes which role."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dicom_node.config.rules import RoleSettings, RuleSettings
from dicom_node.model import Series
from dicom_node.route.candidate import Candidate
from dicom_node.route.conditions import failure, lasting_failure
from dicom_node.route.preferences import rank
from dicom_node.route.refusals import Ours, candidate_of
from dicom_node.route.study import Stage, StudySeries


@dataclass(frozen=True, slots=True)
class Companions:
    """What was found for the roles of a rule.

    Attributes:
        series: by role; a role that nothing fills is absent.
        waits_for: names of series that still collect and may fill a role.
        words: as a decision tells it; empty for a rule without roles.
    """

    series: Mapping[str, Series] = field(default_factory=dict)
    waits_for: tuple[str, ...] = ()
    words: str = ""


def companions_of(rule: RuleSettings, own_uid: str, study: Sequence[StudySeries], ours: Ours) -> Companions:
    """The best series of the study for each role, in the order of the roles; none takes two.

    Source of the choice: the role's `prefer`; ties go to the lower Series Instance UID.
    """
    if not rule.roles:
        return Companions()
    others = [(entry, *candidate_of(entry.series, ours)) for entry in study if entry.series.series_instance_uid != own_uid]
    images = [(entry, candidate) for entry, candidate, refusal in others if not refusal]
    waiting = {
        c.name() for entry, c in images if entry.stage is Stage.COLLECTING and any(may_fill(r, c) for r in rule.roles.values())
    }
    whole = [candidate for entry, candidate in images if entry.stage is not Stage.COLLECTING]
    taken: dict[str, Candidate] = {}
    for role, settings in rule.roles.items():
        left = [c for c in whole if fills(settings, c) and c.uid not in {t.uid for t in taken.values()}]
        if left:
            taken[role] = min(left, key=lambda c: (rank(settings.prefer, c), c.uid))
    words = [f"{role}: {taken[role].name()} ({taken[role].facts()})" if role in taken else f"no {role}" for role in rule.roles]
    return Companions({role: c.series for role, c in taken.items()}, tuple(sorted(waiting)), "; ".join(words))


def fills(role: RoleSettings, candidate: Candidate) -> bool:
    return not any(failure(condition, candidate) for condition in role.when)


def may_fill(role: RoleSettings, candidate: Candidate) -> bool:
    """Whether a series that is still collecting may fill the role when it is whole."""
    return not any(lasting_failure(condition, candidate) for condition in role.when)
