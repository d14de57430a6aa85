"""A job's inputs are its series and the companions; one that comes late or grows revises the result, once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node.config import Condition, RoleSettings, RuleSettings
from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from dicom_node.model import AssemblyPolicy, Instance, Job
from dicom_node.pipeline.intake import Intake, Rulebook
from tests.dicom_node.route.plain_series import make_series

CONTRAST = RoleSettings(when=(Condition(modality=("MR",)), Condition(attribute="ContrastBolusAgent", present=True)))
RULE = RuleSettings(
    engine="e", when=(Condition(attribute="SeriesDescription", matches="FLAIR"),), roles={"t1c": CONTRAST}, best_of_study=True
)


class Node:
    """A ledger and its intake, with a clock that tests move."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger = ledger
        self.folder = folder
        self.intake = Intake(ledger, Rulebook([RULE], ["e"]), AssemblyPolicy(quiet_s=5.0, longest_wait_s=900.0))

    def receive(self, uid: str, at: float, *, numbers: range = range(1, 11), **facts: Any) -> None:
        made = make_series(uid, count=numbers.stop - 1, Modality="MR", **facts)
        self.ledger.instances.add([self._stored(i, at) for i in made.instances if int(i.first("InstanceNumber")) in numbers])

    def _stored(self, instance: Instance, at: float) -> Instance:
        path = self.folder / instance.sop_instance_uid
        path.write_bytes(b"\0" * 128 + b"DICM")
        values: dict[str, Any] = {name: getattr(instance, name) for name in Instance.__slots__}
        return Instance(**(values | {"path": path, "received_at": at}))

    def sweep(self, *moments: float) -> None:
        for now in moments:
            self.intake.sweep(now)

    def jobs(self) -> list[Job]:
        return sorted(self.ledger.jobs.find(), key=lambda job: job.job_id)

    def roles(self, job: Job) -> dict[str, int]:
        return {role: len(instances) for role, instances in self.ledger.jobs.inputs(job.job_id).items()}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        yield Node(ledger, tmp_path)


def test_both_series_are_inputs_whichever_comes_first(node: Node) -> None:
    node.receive("1.2.7", 100, ContrastBolusAgent="yes")
    node.receive("1.2.3", 102, SeriesDescription="FLAIR")
    node.sweep(106, 108, 110)
    (job,) = node.jobs()
    assert (job.series_instance_uid, job.revision, job.as_of) == ("1.2.3", 1, 102)
    assert node.roles(job) == {"": 10, "t1c": 10}


def test_a_series_waits_while_its_companion_still_arrives(node: Node) -> None:
    node.receive("1.2.3", 100, SeriesDescription="FLAIR")
    node.receive("1.2.7", 104, ContrastBolusAgent="yes", numbers=range(1, 4))
    node.sweep(106)
    assert node.jobs() == []
    node.receive("1.2.7", 107, ContrastBolusAgent="yes", numbers=range(4, 11))
    node.sweep(110, 113, 114)
    (job,) = node.jobs()
    assert node.roles(job) == {"": 10, "t1c": 10}
    assert job.as_of == 107


def test_a_late_companion_revises_the_result_once(node: Node) -> None:
    node.receive("1.2.3", 100, SeriesDescription="FLAIR")
    node.sweep(106)
    node.receive("1.2.7", 200, ContrastBolusAgent="yes")
    node.sweep(206, 207, 208, 300)
    first, second = node.jobs()
    assert (first.state, second.state) == (State.SUPERSEDED, State.QUEUED)
    assert (second.revision, node.roles(second)) == (2, {"": 10, "t1c": 10})
    assert first.input_digest != second.input_digest
    told = node.ledger.views.why("1.2")[0]
    words = [e.detail for e in told.events]
    assert "series 7 of the study came or changed" in words
    assert "e, revision 2, 10 instances, 10 instances for t1c" in words


def test_a_companion_that_grows_revises_the_result(node: Node) -> None:
    node.receive("1.2.3", 100, SeriesDescription="FLAIR")
    node.receive("1.2.7", 100, ContrastBolusAgent="yes")
    node.sweep(106, 107)
    node.receive("1.2.7", 200, ContrastBolusAgent="yes", numbers=range(11, 13))
    node.sweep(206, 207, 208)
    assert [node.roles(job) for job in node.jobs()] == [{"": 10, "t1c": 10}, {"": 10, "t1c": 12}]


def test_an_unrelated_series_revises_nothing(node: Node) -> None:
    node.receive("1.2.3", 100, SeriesDescription="FLAIR")
    node.sweep(106)
    node.receive("1.2.8", 200, SeriesDescription="T2")
    node.sweep(206, 207, 208)
    assert len(node.jobs()) == 1
    assert not node.ledger.series.open()


def test_two_series_that_could_each_take_the_others_role_do_not_revise_each_other_forever(node: Node) -> None:
    every = RULE.model_copy(update={"best_of_study": False, "when": (), "roles": {"t1c": CONTRAST}})
    node.intake = Intake(node.ledger, Rulebook([every], ["e"]), AssemblyPolicy(quiet_s=5.0, longest_wait_s=900.0))
    for uid, at in (("1.2.3", 100), ("1.2.7", 200), ("1.2.8", 300)):
        node.receive(uid, at, ContrastBolusAgent="yes")
        node.sweep(*range(at + 6, at + 16))
    assert not node.ledger.series.open()
    assert len(node.jobs()) <= 6


def test_a_result_that_had_a_companion_is_not_replaced_by_one_without(node: Node) -> None:
    node.receive("1.2.3", 100, SeriesDescription="FLAIR")
    node.receive("1.2.7", 100, ContrastBolusAgent="yes")
    node.sweep(106, 107)
    job = node.jobs()[0]
    node.ledger.jobs.claim(110)
    node.ledger.jobs.finish(job.job_id, [], [], now=111)
    node.ledger.retention.purge(["1.2"], age_s=1, now=1000)
    node.receive("1.2.3", 2000, SeriesDescription="FLAIR")
    node.sweep(2006, 2007)
    assert len(node.jobs()) == 1
    assert "no longer here" in node.ledger.history.of("series", "1.2.3")[-1].detail
