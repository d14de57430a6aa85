"""What a power cut takes: nothing that was acknowledged."""

from pathlib import Path

import pytest

from tests.chaos.power import KINDS, cannot_cut, loses_without_synchronising, power_cut

SEED = 20261121


@pytest.fixture(scope="module", autouse=True)
def _can_cut() -> None:
    if reason := cannot_cut():
        pytest.skip(reason)


def test_what_was_acknowledged_survives_power_cuts(tmp_path: Path) -> None:
    outcome = power_cut(tmp_path, SEED, 3)
    assert outcome.acknowledged
    assert any(kind in outcome.happened for kind in KINDS)


def test_without_synchronising_it_does_not(tmp_path: Path) -> None:
    assert loses_without_synchronising(tmp_path, SEED)
