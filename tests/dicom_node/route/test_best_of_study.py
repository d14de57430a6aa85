"""One series of a study is enough: the best, and it is said why."""

import pytest

from dicom_node.config import Condition, Preference, RuleSettings
from dicom_node.route import Stage, StudySeries, route

BEST = RuleSettings(
    engine="e",
    when=(Condition(modality=("CT",)),),
    best_of_study=True,
    prefer=(
        Preference(order=("^B3", "^B[45]")),
        Preference(thinnest_from_mm=1.5),
        Preference(most_slices=True),
    ),
)


def decide(series, *study: StudySeries, rules=(BEST,)):
    routing = route(series, rules, study=study)
    (decision,) = routing.decisions
    return routing, decision


@pytest.mark.parametrize(
    ("better", "worse", "because"),
    [
        (
            {"ConvolutionKernel": "B31f"},
            {"ConvolutionKernel": "B70f"},
            'ConvolutionKernel "B31f" against ConvolutionKernel "B70f"',
        ),
        ({"ConvolutionKernel": "B31f"}, {}, 'ConvolutionKernel "B31f" against ConvolutionKernel (absent)'),
        ({"SliceThickness": "1.5"}, {"SliceThickness": "5"}, "1.5 mm against 5 mm"),
        ({"SliceThickness": "1", "count": 30}, {"SliceThickness": "0.6"}, "30 slices against 20 slices"),
        ({"uid": "1.2.1"}, {"uid": "1.2.7"}, "no preference tells them apart, the lower Series Instance UID decides"),
    ],
)
def test_the_better_series_is_chosen_over_the_other_with_the_reason(series, better, worse, because: str) -> None:
    good, bad = series(**{"uid": "1.2.5", **better}), series(**{"uid": "1.2.6", **worse})
    _, yes = decide(good, StudySeries(bad))
    _, no = decide(bad, StudySeries(good))
    assert yes.chosen
    assert "chosen over series" in yes.reason
    assert because in yes.reason
    assert not no.chosen
    assert "is better: " in no.reason
    assert because in no.reason


def test_a_decision_waits_for_series_that_still_arrive(series) -> None:
    routing, decision = decide(series("1.2.5"), StudySeries(series("1.2.6"), Stage.COLLECTING))
    assert routing.deferred == ("e",)
    assert (decision.chosen, decision.reason) == (False, "waits for series 6 of the study: the best of them is run")


def test_two_whole_series_do_not_wait_for_each_other(series) -> None:
    one, two = series("1.2.5"), series("1.2.6")
    assert [route(s, [BEST], study=[StudySeries(one), StudySeries(two)]).deferred for s in (one, two)] == [(), ()]


@pytest.mark.parametrize(
    "facts",
    [
        {"Modality": "PT"},
        {"ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER")},
        {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.66.4"},
    ],
)
def test_no_decision_waits_for_a_series_that_cannot_qualify(series, facts) -> None:
    routing, decision = decide(series("1.2.5"), StudySeries(series("1.2.6", **facts), Stage.COLLECTING))
    assert (routing.deferred, decision.chosen) == ((), True)
    assert decision.reason.endswith("no other series of the study qualifies")


def test_a_worse_series_need_not_wait(series) -> None:
    study = StudySeries(series("1.2.4", ConvolutionKernel="B30f")), StudySeries(series("1.2.6"), Stage.COLLECTING)
    routing, decision = decide(series("1.2.5"), *study)
    assert (routing.deferred, decision.chosen) == ((), False)


def test_an_engine_that_ran_on_another_series_stays_with_it(series) -> None:
    ran = StudySeries(series("1.2.6", SliceThickness="5"), Stage.ROUTED, frozenset({"e"}))
    _, decision = decide(series("1.2.5", SliceThickness="1"), ran)
    assert decision.reason == "one series of a study is enough: already runs on series 6 (CT, 20 slices, 5 mm)"


def test_late_slices_keep_the_series_chosen(series) -> None:
    own = series("1.2.5", SliceThickness="5")
    better = StudySeries(series("1.2.6", SliceThickness="1"))
    _, decision = decide(own, StudySeries(own, Stage.WHOLE, frozenset({"e"})), better)
    assert decision.chosen
    assert "it ran on this series before" in decision.reason


def test_a_series_that_was_decided_on_before_is_no_rival(series) -> None:
    _, decision = decide(series("1.2.5"), StudySeries(series("1.2.4"), Stage.ROUTED))
    assert decision.chosen


def test_an_earlier_rule_beats_preferences(series) -> None:
    thorax = BEST.model_copy(update={"when": (Condition(body_part="CHEST"),)})
    chest, thin = series("1.2.6", BodyPartExamined="CHEST", SliceThickness="5"), series("1.2.5", SliceThickness="1")
    _, decision = decide(chest, StudySeries(thin), rules=(thorax, BEST))
    assert decision.chosen
    assert "rule 1 stands before rule 2" in decision.reason


def test_without_best_of_study_every_series_is_run(series) -> None:
    every = BEST.model_copy(update={"best_of_study": False})
    _, decision = decide(series("1.2.6"), StudySeries(series("1.2.5", ConvolutionKernel="B30f")), rules=(every,))
    assert decision.chosen
