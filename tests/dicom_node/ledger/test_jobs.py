from pathlib import Path

import pytest

from dicom_node.errors import IllegalTransitionError, LedgerError, PermanentError
from dicom_node.ledger import Ledger
from dicom_node.ledger.jobs import LONGEST_INTERRUPTION_WAIT_S
from dicom_node.lifecycle import State
from dicom_node.model import ResultKind
from tests.dicom_node.ledger.builders import ARCHIVE, PACS, STUDY, finished_job, instance, queued_job, results_of


def test_the_most_urgent_job_is_claimed_first_then_the_oldest(ledger: Ledger, tmp_path: Path) -> None:
    routine, second = (queued_job(ledger, tmp_path, series=series) for series in ("1.1", "1.2"))
    urgent = queued_job(ledger, tmp_path, series="1.3", priority=10)
    claimed = [ledger.jobs.claim(300.0, "worker") for _ in range(4)]
    assert [job and job.job_id for job in claimed] == [urgent.job_id, routine.job_id, second.job_id, None]
    assert claimed[0] is not None
    assert (claimed[0].state, claimed[0].attempts) == (State.RUNNING, 1)


def test_a_job_is_not_claimed_before_its_time(ledger: Ledger, tmp_path: Path) -> None:
    job = queued_job(ledger, tmp_path)
    ledger.jobs.claim(300.0)
    assert ledger.jobs.retry(job.job_id, "out of memory", not_before=360.0, now=301.0)
    assert ledger.jobs.get(job.job_id).reason == "out of memory"
    assert ledger.jobs.claim(359.0) is None
    again = ledger.jobs.claim(360.0)
    assert again is not None
    assert again.attempts == 2


def test_inputs_are_frozen_when_the_series_is_closed(ledger: Ledger, tmp_path: Path) -> None:
    job = queued_job(ledger, tmp_path, range(3))
    ledger.instances.add([instance(tmp_path, 9, at=150.0)])
    assert [i.sop_instance_uid[-1] for i in ledger.jobs.inputs(job.job_id)[""]] == ["0", "1", "2"]


def test_a_finished_job_owes_each_destination_the_kinds_that_it_takes(ledger: Ledger, tmp_path: Path) -> None:
    job = finished_job(ledger, tmp_path)
    owed = [(d.destination, d.kind, d.state) for d in ledger.deliveries.of_job(job.job_id)]
    assert owed == [
        ("archive", ResultKind.SR, State.QUEUED),
        ("pacs", ResultKind.SEG, State.QUEUED),
        ("pacs", ResultKind.SR, State.QUEUED),
    ]
    assert {r.sop_instance_uid for r in ledger.results.of_job(job.job_id)} == {r.sop_instance_uid for r in results_of(job)}


def test_a_held_job_keeps_its_results_and_owes_nobody(ledger: Ledger, tmp_path: Path) -> None:
    job = queued_job(ledger, tmp_path)
    ledger.jobs.claim(300.0)
    assert ledger.jobs.hold(job.job_id, results_of(job), "geometry does not match", now=301.0)
    assert ledger.jobs.get(job.job_id).state is State.HELD
    assert len(ledger.results.of_job(job.job_id)) == 3
    assert not ledger.deliveries.find()


def test_a_refused_job_waits_for_a_person(ledger: Ledger, tmp_path: Path) -> None:
    job = queued_job(ledger, tmp_path)
    ledger.jobs.claim(300.0)
    assert ledger.jobs.refuse(job.job_id, "no stack", now=301.0)
    assert ledger.jobs.claim(1e9) is None
    ledger.jobs.requeue(job.job_id, now=400.0)
    again = ledger.jobs.claim(400.0)
    assert again is not None
    assert (again.attempts, again.reason) == (1, "")


def test_a_job_that_is_interrupted_again_and_again_waits_longer_and_is_never_given_up(ledger: Ledger, tmp_path: Path) -> None:
    queued_job(ledger, tmp_path)
    now, waits = 300.0, []
    for _ in range(12):
        now += 1000.0
        assert ledger.jobs.claim(now) is not None
        (released,) = ledger.jobs.release_interrupted(now)
        assert (released.state, released.attempts) == (State.QUEUED, 0)
        waits.append(released.not_before - now)
    assert waits[:4] == [0.0, 0.0, 2.0, 4.0]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_INTERRUPTION_WAIT_S


def test_only_the_jobs_of_a_dead_worker_are_released_when_it_is_named(ledger: Ledger, tmp_path: Path) -> None:
    for series, worker in (("1.1", "one"), ("1.2", "two")):
        queued_job(ledger, tmp_path, series=series)
        ledger.jobs.claim(300.0, worker)
    (released,) = ledger.jobs.release_interrupted(301.0, "two")
    assert released.series_instance_uid == "1.2"


def test_a_job_handed_back_lost_no_attempt(ledger: Ledger, tmp_path: Path) -> None:
    job = queued_job(ledger, tmp_path)
    ledger.jobs.claim(300.0)
    assert ledger.jobs.hand_back(job.job_id, now=301.0)
    back = ledger.jobs.get(job.job_id)
    assert (back.state, back.attempts) == (State.QUEUED, 0)


def test_the_outcome_of_a_cancelled_job_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    job = queued_job(ledger, tmp_path)
    ledger.jobs.claim(300.0)
    ledger.jobs.cancel(job.job_id, "wrong patient side", now=301.0)
    assert not ledger.jobs.finish(job.job_id, results_of(job), [PACS], now=302.0)
    assert not ledger.jobs.retry(job.job_id, "late", not_before=303.0, now=303.0)
    assert ledger.jobs.get(job.job_id).state is State.CANCELLED
    assert ledger.history.of("job", job.job_id)[-1].change == "retry ignored"


def test_a_second_run_sends_again(ledger: Ledger, tmp_path: Path) -> None:
    job = finished_job(ledger, tmp_path)
    sent = ledger.deliveries.claim("archive", 302.0)
    assert sent is not None
    ledger.deliveries.finish(sent.delivery_id, status=0, now=303.0)
    ledger.jobs.requeue(job.job_id, now=400.0)
    ledger.jobs.claim(400.0)
    assert ledger.jobs.finish(job.job_id, results_of(job), [PACS, ARCHIVE], now=401.0)
    assert ledger.deliveries.get(sent.delivery_id).state is State.QUEUED
    assert len(ledger.deliveries.find()) == 3


def test_only_the_newest_revision_can_be_requeued(ledger: Ledger, tmp_path: Path) -> None:
    first = finished_job(ledger, tmp_path)
    queued_job(ledger, tmp_path, [8])
    with pytest.raises(LedgerError, match="newer revision"):
        ledger.jobs.requeue(first.job_id, now=400.0)


def test_a_running_job_cannot_be_requeued(ledger: Ledger, tmp_path: Path) -> None:
    job = queued_job(ledger, tmp_path)
    ledger.jobs.claim(300.0)
    with pytest.raises(IllegalTransitionError):
        ledger.jobs.requeue(job.job_id, now=301.0)


def test_an_unknown_job_is_named(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no job 7"):
        ledger.jobs.get(7)


def test_purged_inputs_are_said_to_be_purged(ledger: Ledger, tmp_path: Path) -> None:
    job = queued_job(ledger, tmp_path)
    ledger.jobs.cancel(job.job_id, now=300.0)
    ledger.retention.purge([STUDY], age_s=0.0, now=1e6)
    with pytest.raises(PermanentError, match="3 of the 3 instances of job 1 were purged"):
        ledger.jobs.inputs(job.job_id)


def test_jobs_are_found_by_what_is_known_of_them(ledger: Ledger, tmp_path: Path) -> None:
    one, two = (queued_job(ledger, tmp_path, series=series) for series in ("1.1", "1.2"))
    ledger.jobs.claim(300.0)
    assert [job.job_id for job in ledger.jobs.find()] == [two.job_id, one.job_id]
    assert [job.job_id for job in ledger.jobs.find(states=[State.RUNNING])] == [one.job_id]
    assert [job.job_id for job in ledger.jobs.find(series_instance_uid="1.2", engine=two.engine)] == [two.job_id]
    assert len(ledger.jobs.find(study_instance_uid=STUDY, limit=1)) == 1
