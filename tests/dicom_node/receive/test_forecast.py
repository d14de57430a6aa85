"""When the disk will be full: what shrinks ends, what does not does not, and nobody is warned every minute."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dicom_node.receive.forecast import LONGEST_S, SHORTEST_S, Sample, is_near, seconds_until, shrinkage

MINUTE_S = 60.0
GIGABYTE = 10**9
rates = st.integers(1, GIGABYTE)
counts = st.integers(6, 60)
free = st.lists(st.integers(0, 10**15), min_size=1, max_size=30)


def steady(count: int, rate: int, left_bytes: int) -> list[Sample]:
    """One sample a minute of a disk that fills at a rate, the last with so many bytes left."""
    return [Sample(n * MINUTE_S, left_bytes + int((count - 1 - n) * MINUTE_S * rate)) for n in range(count)]


def minutely(sizes: list[int]) -> list[Sample]:
    return [Sample(n * MINUTE_S, size) for n, size in enumerate(sizes)]


@given(counts, rates, st.integers(0, 10**6), st.integers(0, GIGABYTE))
def test_a_disk_that_fills_steadily_is_full_when_its_room_is_used_up(count: int, rate: int, left_s: int, floor: int) -> None:
    assert seconds_until(steady(count, rate, floor + rate * left_s), floor) == pytest.approx(left_s)


@given(free, st.integers(0, 10**15))
def test_a_forecast_is_never_in_the_past_and_never_beyond_a_year(sizes: list[int], floor: int) -> None:
    left_s = seconds_until(minutely(sizes), floor)
    assert left_s is None or 0 <= left_s <= LONGEST_S


@given(free, st.integers(0, 10**15))
def test_a_disk_that_never_shrank_has_no_end(sizes: list[int], floor: int) -> None:
    growing = sorted(sizes)
    assume(growing[-1] >= floor)
    assert seconds_until(minutely(growing), floor) is None


@given(free, st.integers(0, 10**15), st.integers(0, 10**15))
def test_a_higher_floor_is_never_reached_later(sizes: list[int], one: int, other: int) -> None:
    later, sooner = (seconds_until(minutely(sizes), floor) for floor in sorted((one, other)))
    assert later is None or (sooner is not None and sooner <= later)


@given(free, st.integers(-(10**6), 10**6))
def test_only_differences_of_time_count(sizes: list[int], shift: int) -> None:
    shifted = [Sample(sample.at + shift, sample.free_bytes) for sample in minutely(sizes)]
    assert shrinkage(shifted) == shrinkage(minutely(sizes))


@given(st.integers(10, 60), rates, st.integers(1, 10**14), st.data())
def test_one_large_deletion_does_not_hide_that_the_disk_fills(count: int, rate: int, freed: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, count // 4))
    jumped = [Sample(s.at, s.free_bytes + (freed if n >= at else 0)) for n, s in enumerate(steady(count, rate, GIGABYTE))]
    assert 0 < shrinkage(jumped) <= rate * 1.001


def test_nothing_is_forecast_from_a_few_minutes() -> None:
    short = steady(5, 10**6, GIGABYTE)
    assert short[-1].at - short[0].at < SHORTEST_S
    assert seconds_until(short, 0) is None
    assert seconds_until([], 0) is None


def test_below_the_floor_it_is_full_now() -> None:
    assert seconds_until([Sample(0.0, 99)], 100) == 0.0


def test_one_file_is_no_trend() -> None:
    assert seconds_until(minutely([GIGABYTE] * 45 + [GIGABYTE // 2] * 15), 0) is None


@given(st.booleans(), st.none() | st.floats(0, 10**7), st.floats(0, 10**6))
def test_who_was_warned_once_is_not_warned_again_until_the_end_has_receded(
    near: bool, left_s: float | None, within: float
) -> None:
    assert is_near(True, left_s, within) or not is_near(False, left_s, within)
    if left_s is None or left_s >= 1.25 * within:
        assert not is_near(near, left_s, within)
