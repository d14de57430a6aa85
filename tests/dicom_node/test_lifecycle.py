from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.errors import IllegalTransitionError
from dicom_node.lifecycle import OPEN, TRANSITIONS, Change, State, after

SETTLED = set(State) - OPEN


@pytest.mark.parametrize(("state", "change"), list(product(State, Change)))
def test_a_change_follows_the_table_or_is_refused(state: State, change: Change) -> None:
    if (state, change) in TRANSITIONS:
        assert after(state, change) is TRANSITIONS[state, change]
    else:
        with pytest.raises(IllegalTransitionError, match=f"{state} cannot {change}"):
            after(state, change)


def test_superseded_is_the_end() -> None:
    assert not [change for state, change in TRANSITIONS if state is State.SUPERSEDED]


def test_only_a_person_takes_up_what_is_settled() -> None:
    again = {change for (state, change), target in TRANSITIONS.items() if state in SETTLED and target in OPEN}
    assert again == {Change.REQUEUE}


def test_what_is_done_is_never_superseded_or_cancelled() -> None:
    assert {change for state, change in TRANSITIONS if state is State.DONE} == {Change.REQUEUE}


def test_running_begins_with_a_claim_only() -> None:
    assert [pair for pair, target in TRANSITIONS.items() if target is State.RUNNING] == [(State.QUEUED, Change.CLAIM)]


@given(st.lists(st.sampled_from(Change), max_size=30))
def test_every_state_that_can_be_reached_can_be_settled(changes: list[Change]) -> None:
    state = State.QUEUED
    for change in changes:
        state = TRANSITIONS.get((state, change), state)
    reachable, fresh = {state}, {state}
    while fresh:
        fresh = {target for (origin, _), target in TRANSITIONS.items() if origin in fresh} - reachable
        reachable |= fresh
    assert reachable & SETTLED
