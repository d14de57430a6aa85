"""Other series of a study take the roles that an engine has for them; the decision waits for them, and says which they are."""

import pytest

from dicom_node.config import Condition, Preference, RoleSettings, RuleSettings, parse
from dicom_node.route import Stage, StudySeries, keywords_of, route

FLAIR = {"Modality": "MR", "SeriesDescription": "FLAIR axial", "SeriesNumber": "3"}
CONTRAST = {"Modality": "MR", "SeriesDescription": "T1 post contrast", "ContrastBolusAgent": "yes", "SeriesNumber": "7"}
ROLE = RoleSettings(
    when=(Condition(modality=("MR",)), Condition(attribute="ContrastBolusAgent", present=True)),
    prefer=(Preference(thinnest_from_mm=0.5),),
)
RULE = RuleSettings(engine="e", when=(Condition(attribute="SeriesDescription", matches="FLAIR"),), roles={"t1c": ROLE})


def decide(series, *study: StudySeries, rule: RuleSettings = RULE):
    routing = route(series, [rule], study=study)
    (decision,) = routing.decisions
    return routing, decision


def uids(routing) -> dict[str, str]:
    return {role: found.series_instance_uid for role, found in routing.choices[0].companions.items()}


@pytest.mark.parametrize("stage", [Stage.WHOLE, Stage.ROUTED])
def test_a_series_that_fits_takes_the_role_whether_it_was_decided_on_or_not(series, stage: Stage) -> None:
    routing, decision = decide(series("1.2.3", **FLAIR), StudySeries(series("1.2.7", **CONTRAST), stage))
    assert uids(routing) == {"t1c": "1.2.7"}
    assert decision.reason.endswith("t1c: series 7 (MR, 20 slices, 3 mm)")


def test_without_one_the_engine_runs_alone_and_the_decision_says_so(series) -> None:
    routing, decision = decide(series("1.2.3", **FLAIR), StudySeries(series("1.2.4", Modality="MR")))
    assert uids(routing) == {}
    assert decision.chosen
    assert decision.reason.endswith("no t1c")


def test_the_decision_waits_for_a_series_that_may_take_a_role(series) -> None:
    coming = series("1.2.7", Modality="MR", SeriesNumber="7", count=2)
    routing, decision = decide(series("1.2.3", **FLAIR), StudySeries(coming, Stage.COLLECTING))
    assert (routing.deferred, decision.chosen) == (("e",), False)
    assert decision.reason == "waits for series 7 of the study, which may be of use to it"


def test_it_waits_for_no_series_that_cannot_take_a_role(series) -> None:
    others = [series("1.2.8"), series("1.2.9", **(CONTRAST | {"ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER")}))]
    routing, decision = decide(series("1.2.3", **FLAIR), *(StudySeries(o, Stage.COLLECTING) for o in others))
    assert (routing.deferred, decision.chosen) == ((), True)


def test_the_preferred_series_takes_the_role_whatever_the_order(series) -> None:
    thick, thin = series("1.2.6", **CONTRAST, SliceThickness="5"), series("1.2.7", **CONTRAST, SliceThickness="1")
    for study in ((thick, thin), (thin, thick)):
        routing, _ = decide(series("1.2.3", **FLAIR), *map(StudySeries, study))
        assert uids(routing) == {"t1c": "1.2.7"}


def test_no_series_takes_two_roles_and_none_its_own(series) -> None:
    rule = RULE.model_copy(update={"roles": {"t1c": ROLE, "second": ROLE}})
    routing, decision = decide(series("1.2.3", **(FLAIR | CONTRAST | {"SeriesDescription": "FLAIR"})), rule=rule)
    assert (uids(routing), decision.chosen) == ({}, True)
    routing, _ = decide(series("1.2.3", **FLAIR), *(StudySeries(series(f"1.2.{n}", **CONTRAST)) for n in (8, 9)), rule=rule)
    assert uids(routing) == {"t1c": "1.2.8", "second": "1.2.9"}


def test_a_series_that_is_not_chosen_waits_for_nothing(series) -> None:
    routing, decision = decide(series("1.2.4", Modality="MR"), StudySeries(series("1.2.7", **CONTRAST), Stage.COLLECTING))
    assert (routing.deferred, decision.chosen) == ((), False)


def test_roles_stand_in_the_file_with_or_without_preferences() -> None:
    text = """
[[rule]]
engine = "lung-segmentation"
roles.t1c = [{ modality = "MR" }, { attribute = "ContrastBolusAgent", present = true }]
[rule.roles.t2]
when = { attribute = "EchoTime", min = 80 }
prefer = { most_slices = true }
"""
    (rule,) = parse(text, "node.toml").rules
    assert list(rule.roles) == ["t1c", "t2"]
    assert len(rule.roles["t1c"].when) == 2
    assert {"ContrastBolusAgent", "EchoTime"} <= keywords_of([rule])
