"""The fuzzer's targets, without coverage: their seeds, their seeds with other bytes, and bytes at random."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, hear, seeds


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_of_the_fuzzer_ends_in_a_documented_outcome(target: str) -> None:
    for content in seeds(target):
        TARGETS[target](content)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 16), flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8))
def test_seeds_with_other_bytes_end_in_a_documented_outcome(target: str, seed: int, flips: list[tuple[int, int]]) -> None:
    known = list(seeds(target))
    content = bytearray(known[seed % len(known)])
    for place, value in flips:
        content[place % len(content)] = value
    TARGETS[target](bytes(content))


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300))
def test_bytes_at_random_end_in_a_documented_outcome(target: str, content: bytes) -> None:
    TARGETS[target](content)


def test_a_sound_message_is_heard_whole_however_it_is_cut() -> None:
    for content in seeds("pdata"):
        for sizes in ([1], [3, 1000], [len(content)]):
            heard = hear(content[1:], sizes)
            assert not heard.refused
            assert [kind for _, kind, _ in heard.messages] == ["command", "data"]
            assert len(heard.messages[1][2]) > 1000
