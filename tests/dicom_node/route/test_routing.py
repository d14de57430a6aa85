"""Routing is pure, ordered, and answers for every engine."""

from hypothesis import given
from hypothesis import strategies as st

from dicom_node.config import Condition, Preference, Range, RuleSettings, Scope
from dicom_node.route import Stage, StudySeries, keywords_of, route
from tests.dicom_node.route.plain_series import make_series

CONDITIONS = st.recursive(
    st.one_of(
        st.sampled_from(["CT", "MR"]).map(lambda m: Condition(modality=(m,))),
        st.integers(0, 30).map(lambda n: Condition(slice_count=Range(min=n))),
        st.sampled_from(list(Scope)).map(lambda s: Condition(attribute="InstanceNumber", max=3, scope=s)),
        st.sampled_from(["CHEST", "HEAD"]).map(lambda part: Condition(body_part=part)),
        st.sampled_from(["1", "x"]).map(lambda text: Condition(attribute="KVP", not_matches=text)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda c: Condition(any_of=tuple(c))),
        st.lists(inner, max_size=2).map(lambda c: Condition(none_of=tuple(c))),
    ),
    max_leaves=4,
)
RULES = st.lists(
    st.builds(
        RuleSettings,
        engine=st.sampled_from(["a", "b", "c"]),
        when=st.lists(CONDITIONS, max_size=2).map(tuple),
        best_of_study=st.booleans(),
        prefer=st.sampled_from([(), (Preference(most_slices=True),), (Preference(order=("^B",)),)]),
    ),
    max_size=5,
)
SERIES = st.builds(
    make_series,
    st.sampled_from(["1.2.1", "1.2.2", "1.2.3"]),
    count=st.integers(1, 4),
    sop_class_uid=st.sampled_from(["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"]),
    Modality=st.sampled_from(["CT", "MR", ""]),
    BodyPartExamined=st.sampled_from(["CHEST", "HEAD", ""]),
    ConvolutionKernel=st.sampled_from(["B30f", "STD", ""]),
)
STUDIES = st.lists(
    st.builds(StudySeries, SERIES, st.sampled_from(list(Stage)), st.frozensets(st.sampled_from(["a", "b"]), max_size=1)),
    max_size=3,
    unique_by=lambda entry: entry.series.series_instance_uid,
)


@given(SERIES, RULES, STUDIES)
def test_every_engine_gets_exactly_one_decision_with_a_reason_in_the_rules_order(series, rules, study) -> None:
    routing = route(series, rules, engines=["z", "a"], study=study)
    assert [d.engine for d in routing.decisions] == list(dict.fromkeys([*(rule.engine for rule in rules), "z", "a"]))
    assert all(d.reason and d.series_instance_uid == series.series_instance_uid for d in routing.decisions)
    assert not set(routing.chosen) & set(routing.deferred)
    assert tuple(choice.rule.engine for choice in routing.choices) == routing.chosen


@given(SERIES, RULES, STUDIES, st.randoms())
def test_the_order_of_the_study_and_of_arrival_changes_nothing(series, rules, study, random) -> None:
    before = route(series, rules, study=study)
    shuffled = list(series.instances)
    random.shuffle(shuffled)
    again = type(series)(series.series_instance_uid, series.study_instance_uid, tuple(shuffled))
    random.shuffle(study)
    after = route(again, rules, study=study)
    assert after.decisions == before.decisions
    assert after.deferred == before.deferred


@given(SERIES, RULES)
def test_the_first_matching_rule_of_an_engine_decides(series, rules) -> None:
    alone: dict[str, RuleSettings] = {}
    for rule in rules:
        if route(series, [rule]).chosen:
            alone.setdefault(rule.engine, rule)
    routing = route(series, rules)
    assert {choice.rule.engine: choice.rule for choice in routing.choices} == alone


@given(st.lists(SERIES, min_size=1, max_size=3, unique_by=lambda s: s.series_instance_uid))
def test_exactly_one_of_the_whole_series_that_qualify_is_chosen(all_series) -> None:
    best = RuleSettings(engine="e", best_of_study=True, prefer=(Preference(most_slices=True),))
    every = RuleSettings(engine="e")
    study = [StudySeries(series) for series in all_series]
    chosen = sum(len(route(series, [best], study=study).chosen) for series in all_series)
    assert chosen == min(1, sum(len(route(series, [every]).chosen) for series in all_series))


def test_a_rule_that_matches_nothing_says_why_for_each_rule_of_the_engine() -> None:
    rules = [RuleSettings(engine="e", when=(Condition(modality=(m,)),)) for m in ("MR", "PT")]
    (decision,) = route(make_series(), rules).decisions
    assert decision.reason == "rule 1: Modality CT is not MR; rule 2: Modality CT is not PT"


def test_an_engine_without_a_rule_and_a_disabled_one_say_so() -> None:
    routing = route(make_series(), [RuleSettings(engine="a")], engines=["a", "b"], disabled={"a"})
    assert [(d.engine, d.chosen, d.reason) for d in routing.decisions] == [
        ("a", False, "disabled in the configuration"),
        ("b", False, "no rule names this engine"),
    ]


def test_the_attributes_that_rules_need_are_known() -> None:
    deep = Condition(any_of=(Condition(none_of=(Condition(attribute="KVP", present=True),)),))
    rule = RuleSettings(engine="e", when=(deep,), prefer=(Preference(attribute="FilterType", order=("x",)),))
    assert {"KVP", "FilterType", "Modality", "ImageType"} <= keywords_of([rule])
    assert "KVP" not in keywords_of([])
