"""Series by series, from what was received to what is decided."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.config import NodeConfiguration
from dicom_node.ledger import Ledger
from dicom_node.model import AssemblyPolicy, Series
from dicom_node.node.processing import rulebook
from dicom_node.pipeline.intake import Intake
from tests.dicom_node.route.plain_series import make_series

POLICY = AssemblyPolicy(quiet_s=30.0, longest_wait_s=900.0)
QUIET = 100.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_a_series_that_cannot_be_decided_holds_up_no_other(ledger: Ledger) -> None:
    ledger.instances.add(make_series("1.2.3").instances)
    ledger.instances.add(make_series("1.2.4").instances)

    def count(series: Series) -> int:
        if series.series_instance_uid == "1.2.3":
            raise ValueError("a PACS said something strange")
        return len(series.instances)

    intake = Intake(ledger, rulebook(NodeConfiguration()), POLICY, count)
    assert [intake.sweep(now) for now in (QUIET, QUIET + 1)] == [1, 0]
    assert ledger.series.is_open("1.2.3")
    assert not ledger.series.is_open("1.2.4")
    undecided = [event for event in ledger.history.of("series", "1.2.3") if event.change == "undecided"]
    assert len(undecided) == 1
    assert "strange" not in undecided[0].detail


def test_a_pacs_that_has_more_is_asked_again_after_the_quiet_time(ledger: Ledger) -> None:
    ledger.instances.add(make_series().instances)
    asked: list[float] = []

    def count(series: Series) -> int:
        asked.append(now)
        return len(series.instances) + 1

    intake = Intake(ledger, rulebook(NodeConfiguration()), POLICY, count)
    for now in range(int(QUIET), int(QUIET) + 61):
        intake.sweep(now)
    assert asked == [QUIET, QUIET + 30, QUIET + 60]
