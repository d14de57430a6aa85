from pathlib import Path

from dicom_node.ledger import JobRequest, Ledger
from dicom_node.lifecycle import State
from dicom_node.model import Decision, ResultKind
from tests.dicom_node.ledger.builders import (
    COMPLETE,
    ENGINE,
    PACS,
    SERIES,
    STUDY,
    close,
    digest_of,
    finished_job,
    instance,
    queued_job,
    results_of,
)


def test_a_series_collects_until_it_is_closed(ledger: Ledger, tmp_path: Path) -> None:
    ledger.instances.add([instance(tmp_path, 1, at=100.0)])
    ledger.instances.add([instance(tmp_path, 0, at=101.0)])
    (series,) = ledger.series.open()
    assert [i.received_at for i in series.instances] == [100.0, 101.0]
    assert ledger.series.is_open(SERIES)
    close(ledger)
    assert not ledger.series.open()
    assert not ledger.series.is_open(SERIES)
    assert ledger.series.of_study(STUDY) == (series,)


def test_only_quiet_series_are_named_when_asked_for(ledger: Ledger, tmp_path: Path) -> None:
    ledger.instances.add([instance(tmp_path, 1, series="1.1", at=100.0), instance(tmp_path, 1, series="1.2", at=130.0)])
    assert [s.series_instance_uid for s in ledger.series.open(quiet_since=120.0)] == ["1.1"]


def test_a_series_is_not_closed_when_an_instance_arrived_meanwhile(ledger: Ledger, tmp_path: Path) -> None:
    ledger.instances.add([instance(tmp_path, 1)])
    (seen,) = ledger.series.open()
    ledger.instances.add([instance(tmp_path, 2)])
    request = JobRequest(ENGINE, digest_of(seen))
    assert not ledger.series.close(seen, assessment=COMPLETE, decisions=[], jobs=[request], now=200.0)
    assert ledger.series.is_open(SERIES)
    assert not ledger.jobs.find()


def test_a_series_is_closed_once(ledger: Ledger, tmp_path: Path) -> None:
    ledger.instances.add([instance(tmp_path, 1)])
    (seen,) = ledger.series.open()
    assert ledger.series.close(seen, assessment=COMPLETE, decisions=[], jobs=[], now=200.0)
    assert not ledger.series.close(seen, assessment=COMPLETE, decisions=[], jobs=[], now=201.0)


def test_a_job_is_dated_by_its_last_instance_and_knows_who_sent_it(ledger: Ledger, tmp_path: Path) -> None:
    ledger.instances.add([instance(tmp_path, 1, at=100.0), instance(tmp_path, 2, at=150.0)])
    job = close(ledger, now=200.0)
    assert job is not None
    assert (job.as_of, job.calling_ae_title, job.revision, job.predecessors) == (150.0, "PACS", 1, ())


def test_a_late_instance_makes_a_revision_and_ends_the_job_that_waits(ledger: Ledger, tmp_path: Path) -> None:
    first = queued_job(ledger, tmp_path)
    second = queued_job(ledger, tmp_path, [7])
    assert ledger.jobs.get(first.job_id).state is State.SUPERSEDED
    assert (second.revision, second.state, second.predecessors) == (2, State.QUEUED, ())
    assert len(ledger.jobs.inputs(first.job_id)[""]) == 3
    assert len(ledger.jobs.inputs(second.job_id)[""]) == 4


def test_results_of_a_superseded_run_are_kept_and_not_delivered(ledger: Ledger, tmp_path: Path) -> None:
    first = queued_job(ledger, tmp_path)
    ledger.jobs.claim(300.0)
    queued_job(ledger, tmp_path, [7])
    assert not ledger.jobs.finish(first.job_id, results_of(first), [PACS], now=301.0)
    assert not ledger.deliveries.of_job(first.job_id)
    assert ledger.results.is_ours(results_of(first)[0].sop_instance_uid)


def test_undelivered_results_are_superseded_and_delivered_ones_are_predecessors(ledger: Ledger, tmp_path: Path) -> None:
    first = finished_job(ledger, tmp_path)
    seg = ledger.deliveries.claim("pacs", 302.0)
    assert seg is not None
    ledger.deliveries.finish(seg.delivery_id, status=0, now=303.0)
    report = ledger.deliveries.claim("pacs", 304.0)
    assert report is not None
    ledger.deliveries.next_rank(report.delivery_id, status=0x0122, now=305.0)
    assert ledger.deliveries.claim("pacs", 306.0) is not None  # the fallback is being sent when a late instance comes
    second = queued_job(ledger, tmp_path, [7])
    sent = next(r for r in results_of(first) if (r.kind, r.rank) == (ResultKind.SR, 1))
    assert second.predecessors == ((sent.sop_class_uid, sent.sop_instance_uid, sent.series_instance_uid),)
    states = {(d.destination, d.kind): d.state for d in ledger.deliveries.of_job(first.job_id)}
    assert states["archive", ResultKind.SR] is State.SUPERSEDED
    assert states["pacs", ResultKind.SR] is State.RUNNING
    assert ledger.jobs.get(first.job_id).state is State.DONE


def test_a_result_waiting_to_be_sent_again_is_a_predecessor_too(ledger: Ledger, tmp_path: Path) -> None:
    first = finished_job(ledger, tmp_path)
    report = ledger.deliveries.claim("archive", 302.0)
    assert report is not None
    ledger.deliveries.sent(report.delivery_id, "2.25.1", due_at=400.0, status=0, now=303.0)
    ledger.deliveries.retry(report.delivery_id, not_before=999.0, message="commitment failed", now=304.0)
    second = queued_job(ledger, tmp_path, [7])
    assert [uid for _, uid, _ in second.predecessors] == [results_of(first)[1].sop_instance_uid]


def test_the_same_inputs_never_make_a_second_job(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    ledger.retention.purge([STUDY], age_s=-1e9, now=1e6)  # nothing yet: it is not delivered
    assert ledger.views.status().instances == 3
    for delivery in ledger.deliveries.find():
        ledger.deliveries.cancel(delivery.delivery_id, now=400.0)
    ledger.retention.purge([STUDY], age_s=0.0, now=1e6)
    assert ledger.views.status().instances == 0
    ledger.instances.add([instance(tmp_path, number, at=2e6) for number in range(3)])
    assert close(ledger, now=2e6) is None
    assert len(ledger.jobs.find()) == 1


def test_a_part_of_a_purged_series_makes_no_revision(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    for delivery in ledger.deliveries.find():
        ledger.deliveries.cancel(delivery.delivery_id, now=400.0)
    ledger.retention.purge([STUDY], age_s=0.0, now=1e6)
    ledger.instances.add([instance(tmp_path, 1, at=2e6), instance(tmp_path, 9, at=2e6)])
    assert close(ledger, now=2e6) is None
    assert "Send the series again in full" in ledger.history.of("series", SERIES)[-1].detail


def test_each_engine_has_revisions_of_its_own(ledger: Ledger, tmp_path: Path) -> None:
    queued_job(ledger, tmp_path)
    ledger.instances.add([instance(tmp_path, 7)])
    other = close(ledger, engine="nodules")
    assert other is not None
    assert other.revision == 1
    assert {job.state for job in ledger.jobs.find()} == {State.QUEUED}


def test_a_lost_ledger_is_rebuilt_from_the_spool_with_the_same_jobs(tmp_path: Path) -> None:
    spooled = [instance(tmp_path, number, at=100.0 + number) for number in range(5)]
    made = []
    for name in ("first", "second"):
        with Ledger.open(tmp_path / f"{name}.sqlite") as ledger:
            ledger.instances.add(spooled)
            (series,) = ledger.series.open()
            assert series.instances == tuple(spooled)
            ledger.series.close(
                series,
                assessment=COMPLETE,
                decisions=[Decision(ENGINE, SERIES, chosen=True, reason="CT")],
                jobs=[JobRequest(ENGINE, digest_of(series))],
                now=200.0,
            )
            made.append(ledger.jobs.find())
    assert made[0] == made[1]
