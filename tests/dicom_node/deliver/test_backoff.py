from hypothesis import given
from hypothesis import strategies as st

from dicom_node.deliver.backoff import next_attempt
from dicom_node.model import Destination

PACS = Destination("pacs", "PACS", "127.0.0.1", 104, retry_first_s=30.0, retry_multiplier=2.0, retry_cap_s=1800.0)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_the_wait_never_exceeds_the_cap_and_never_falls_below_four_fifths_of_the_first(attempts: int, delivery: int) -> None:
    wait_s = next_attempt(attempts, PACS, 1000.0, delivery) - 1000.0
    assert 24.0 <= wait_s <= 1800.0


@given(st.integers(1, 6))
def test_the_wait_grows_from_attempt_to_attempt(attempts: int) -> None:
    assert next_attempt(attempts, PACS, 0.0, 7) < next_attempt(attempts + 1, PACS, 0.0, 7)


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_the_same_delivery_and_attempt_wait_the_same(attempts: int, delivery: int) -> None:
    assert next_attempt(attempts, PACS, 5.0, delivery) == next_attempt(attempts, PACS, 5.0, delivery)


def test_deliveries_of_one_outage_come_back_spread() -> None:
    times = {next_attempt(12, PACS, 0.0, delivery) for delivery in range(100)}
    assert len(times) == 100
    assert max(times) - min(times) > 200.0


def test_an_outage_of_a_week_is_tried_at_least_every_half_hour() -> None:
    now, attempts = 0.0, 0
    while now < 7 * 86400.0:
        attempts += 1
        now = next_attempt(attempts, PACS, now, 3)
    assert 336 <= attempts <= 450
