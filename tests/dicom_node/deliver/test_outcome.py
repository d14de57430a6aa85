import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.deliver.outcome import NotAccepted, Permanent, Stored, StoredWithWarning, Transient, outcome_of


@pytest.mark.parametrize("status", [0x0000, 0x0111])
def test_success_and_a_duplicate_are_stored(status: int) -> None:
    assert outcome_of(status) == Stored(status)


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xB123, 0x0001, 0x0107, 0x0116])
def test_a_warning_is_stored_and_keeps_what_was_said(status: int) -> None:
    outcome = outcome_of(status, "patient ID coerced")
    assert isinstance(outcome, StoredWithWarning)
    assert outcome.status == status
    assert "patient ID coerced" in outcome.warning


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0213])
def test_lack_of_resources_is_tried_again_without_an_alarm(status: int) -> None:
    outcome = outcome_of(status)
    assert isinstance(outcome, Transient)
    assert not outcome.alarm


@pytest.mark.parametrize("status", [0xA900, 0xA9FF, 0xC000, 0xCFFF, 0x0124, 0x0117])
def test_a_refusal_of_the_instance_is_a_dead_letter(status: int) -> None:
    assert isinstance(outcome_of(status), Permanent)


def test_an_unsupported_sop_class_asks_for_the_next_fallback() -> None:
    assert isinstance(outcome_of(0x0122), NotAccepted)


@given(st.integers(0, 0xFFFF), st.text(max_size=64))
def test_every_status_has_an_outcome_and_none_unknown_is_given_up(status: int, comment: str) -> None:
    outcome = outcome_of(status, comment)
    assert outcome.status == status
    if isinstance(outcome, Permanent):
        assert status < 0x0200 or status >> 8 == 0xA9 or status >> 12 == 0xC


def test_an_unforeseen_status_is_tried_again_with_an_alarm() -> None:
    outcome = outcome_of(0x0110)
    assert isinstance(outcome, Transient)
    assert outcome.alarm
    assert "0110H" in outcome.reason
