"""The soak of `make soak`, short: hostile tries and valid instances leave a running node as it was."""

from pathlib import Path

from tests.hostile.soak import instances, tries

SEED = 20261121


def test_a_soak_of_hostile_tries_leaves_no_growth_and_no_traceback(tmp_path: Path) -> None:
    assert tries(tmp_path, SEED, 300).outcomes.total() == 300


def test_a_soak_of_valid_instances_leaves_no_growth(tmp_path: Path) -> None:
    assert instances(tmp_path, SEED, 300).outcomes["acknowledged"] >= 300
