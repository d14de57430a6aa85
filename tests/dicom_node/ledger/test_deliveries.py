from pathlib import Path

import pytest

from dicom_node.errors import LedgerError
from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from dicom_node.model import Delivery, ResultKind
from tests.dicom_node.ledger.builders import finished_job, queued_job, results_of


def claimed(ledger: Ledger, destination: str = "pacs", now: float = 400.0) -> Delivery:
    delivery = ledger.deliveries.claim(destination, now)
    assert delivery is not None
    return delivery


def awaited(ledger: Ledger, transaction_uid: str = "2.25.1") -> Delivery:
    delivery = claimed(ledger)
    assert ledger.deliveries.sent(delivery.delivery_id, transaction_uid, due_at=500.0, status=0, now=401.0)
    return ledger.deliveries.get(delivery.delivery_id)


def test_the_sr_waits_until_the_seg_of_its_job_is_settled(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    seg = claimed(ledger)
    assert (seg.kind, seg.state, seg.attempts) == (ResultKind.SEG, State.RUNNING, 1)
    assert ledger.deliveries.claim("pacs", 400.0) is None
    ledger.deliveries.retry(seg.delivery_id, not_before=450.0, status=0xA700, message="out of resources", now=401.0)
    assert ledger.deliveries.claim("pacs", 449.0) is None
    again = claimed(ledger, now=450.0)
    assert (again.delivery_id, again.status, again.message) == (seg.delivery_id, 0xA700, "out of resources")
    ledger.deliveries.finish(again.delivery_id, status=0, now=451.0)
    assert claimed(ledger, now=452.0).kind is ResultKind.SR


def test_a_refused_seg_does_not_keep_the_sr_back(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    ledger.deliveries.refuse(claimed(ledger).delivery_id, status=0xC000, message="cannot understand", now=401.0)
    assert claimed(ledger).kind is ResultKind.SR


def test_a_dead_destination_holds_up_no_other(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    ledger.deliveries.retry(claimed(ledger).delivery_id, not_before=1e9, message="no association", now=401.0)
    assert ledger.deliveries.destinations_with_work() == ("archive", "pacs")
    assert ledger.deliveries.destinations_with_work(now=402.0) == ("archive", "pacs")  # the SR is queued, though it must wait
    assert claimed(ledger, "archive").kind is ResultKind.SR


def test_results_of_the_most_urgent_job_are_sent_first(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path, series="1.1")
    urgent = finished_job(ledger, tmp_path, series="1.2", priority=5)
    assert claimed(ledger).job_id == urgent.job_id


def test_the_next_form_is_sent_where_one_is_not_accepted(ledger: Ledger, tmp_path: Path) -> None:
    job = finished_job(ledger, tmp_path)
    report = claimed(ledger, "archive")
    assert [r.rank for r in ledger.results.of_delivery(report)] == [0]
    assert ledger.deliveries.next_rank(report.delivery_id, status=0x0122, message="not supported", now=401.0)
    again = claimed(ledger, "archive", 401.0)
    assert ledger.results.of_delivery(again) == (results_of(job)[2],)
    assert not ledger.deliveries.next_rank(again.delivery_id, status=0x0122, message="not supported", now=402.0)
    dead = ledger.deliveries.get(report.delivery_id)
    assert (dead.state, dead.status, dead.message) == (State.FAILED, 0x0122, "not supported")


def test_a_person_can_send_a_dead_letter_again_in_its_preferred_form(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    report = claimed(ledger, "archive")
    ledger.deliveries.next_rank(report.delivery_id, now=401.0)
    ledger.deliveries.refuse(claimed(ledger, "archive", 401.0).delivery_id, now=402.0)
    ledger.deliveries.requeue(report.delivery_id, now=403.0)
    again = claimed(ledger, "archive", 403.0)
    assert (again.attempts, again.rank) == (1, 0)


def test_an_older_revision_cannot_be_sent_again(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    sent = claimed(ledger, "archive")
    ledger.deliveries.finish(sent.delivery_id, status=0, now=401.0)
    queued_job(ledger, tmp_path, [8])
    with pytest.raises(LedgerError, match="older revision"):
        ledger.deliveries.requeue(sent.delivery_id, now=402.0)


def test_a_failed_try_of_an_older_revision_is_not_repeated(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    sending = claimed(ledger, "archive")
    queued_job(ledger, tmp_path, [8])
    assert ledger.deliveries.retry(sending.delivery_id, not_before=500.0, message="connection lost", now=402.0)
    assert ledger.deliveries.get(sending.delivery_id).state is State.SUPERSEDED


def test_what_was_being_sent_when_the_node_died_is_sent_again(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    sending = claimed(ledger)
    (released,) = ledger.deliveries.release_interrupted(402.0)
    assert (released.delivery_id, released.state) == (sending.delivery_id, State.QUEUED)


def test_a_committed_delivery_is_done(ledger: Ledger, tmp_path: Path) -> None:
    job = finished_job(ledger, tmp_path)
    delivery = awaited(ledger)
    assert delivery.state is State.AWAITING
    assert ledger.deliveries.by_transaction("2.25.1") == delivery
    seg = results_of(job)[0]
    assert ledger.commitments.report("2.25.1", [(seg.sop_class_uid, seg.sop_instance_uid)], [], now=450.0)
    assert ledger.deliveries.get(delivery.delivery_id).state is State.DONE


def test_what_was_not_committed_is_sent_again(ledger: Ledger, tmp_path: Path) -> None:
    job = finished_job(ledger, tmp_path)
    delivery, seg = awaited(ledger), results_of(job)[0]
    assert ledger.commitments.report("2.25.1", [], [(seg.sop_class_uid, seg.sop_instance_uid, 0x0112)], now=450.0)
    again = ledger.deliveries.get(delivery.delivery_id)
    assert again.state is State.QUEUED
    assert "0112H" in again.message
    assert again.not_before == pytest.approx(480.0)
    second = claimed(ledger, now=480.0)
    assert ledger.deliveries.sent(second.delivery_id, "2.25.2", due_at=600.0, status=0, now=481.0)
    committed = [(seg.sop_class_uid, seg.sop_instance_uid)]
    assert ledger.commitments.report("2.25.2", committed, [], now=482.0)
    assert ledger.deliveries.get(delivery.delivery_id).state is State.DONE


def test_a_report_that_is_faster_than_our_own_bookkeeping_is_applied(ledger: Ledger, tmp_path: Path) -> None:
    job = finished_job(ledger, tmp_path)
    delivery, seg = claimed(ledger), results_of(job)[0]
    assert not ledger.commitments.report("2.25.1", [(seg.sop_class_uid, seg.sop_instance_uid)], [], now=400.5)
    assert ledger.commitments.unmatched() == ("2.25.1",)
    assert ledger.deliveries.sent(delivery.delivery_id, "2.25.1", due_at=500.0, status=0, now=401.0)
    assert ledger.deliveries.get(delivery.delivery_id).state is State.DONE
    assert ledger.commitments.unmatched() == ()


def test_a_report_that_leaves_out_an_instance_settles_nothing(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    delivery = awaited(ledger)
    assert ledger.commitments.report("2.25.1", [("1.2", "9.9.9")], [], now=450.0)
    assert ledger.deliveries.get(delivery.delivery_id).state is State.AWAITING


def test_a_late_report_on_an_earlier_request_still_counts(ledger: Ledger, tmp_path: Path) -> None:
    job = finished_job(ledger, tmp_path)
    delivery, seg = awaited(ledger), results_of(job)[0]
    assert [d.delivery_id for d in ledger.deliveries.awaiting(500.0)] == [delivery.delivery_id]
    assert ledger.deliveries.ask_again(delivery.delivery_id, "2.25.2", due_at=900.0, now=500.0)
    assert not ledger.deliveries.awaiting(501.0)
    assert ledger.commitments.report("2.25.1", [(seg.sop_class_uid, seg.sop_instance_uid)], [], now=502.0)
    assert ledger.deliveries.get(delivery.delivery_id).state is State.DONE
    assert not ledger.deliveries.ask_again(delivery.delivery_id, "2.25.3", due_at=900.0, now=503.0)


def test_a_delivery_read_back_is_done_and_a_later_report_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    job = finished_job(ledger, tmp_path)
    delivery, seg = awaited(ledger), results_of(job)[0]
    assert ledger.deliveries.confirm(delivery.delivery_id, "read back", now=500.0)
    assert not ledger.deliveries.confirm(delivery.delivery_id, "read back", now=501.0)
    ledger.commitments.report("2.25.1", [], [(seg.sop_class_uid, seg.sop_instance_uid, 0x0110)], now=502.0)
    assert ledger.deliveries.get(delivery.delivery_id).state is State.DONE


def test_a_delivery_cancelled_while_it_was_sent_stays_cancelled(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    sending = claimed(ledger, "archive")
    ledger.deliveries.cancel(sending.delivery_id, "asked by the PACS team", now=401.0)
    assert not ledger.deliveries.finish(sending.delivery_id, status=0, now=402.0)
    assert ledger.deliveries.get(sending.delivery_id).state is State.CANCELLED
    second = queued_job(ledger, tmp_path, [8])
    assert len(second.predecessors) == 1  # the destination has it all the same


def test_deliveries_are_found_by_state_and_destination(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    sending = claimed(ledger)
    assert ledger.deliveries.find(states=[State.RUNNING]) == (sending,)
    assert [d.destination for d in ledger.deliveries.find(destination="archive")] == ["archive"]
    assert len(ledger.deliveries.find(limit=2)) == 2
