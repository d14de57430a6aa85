from pathlib import Path

import pytest

from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from tests.dicom_node.ledger.builders import SERIES, STUDY, finished_job, instance, queued_job, results_of

LATER = 1e6


def deliver_all(ledger: Ledger, now: float = 400.0) -> None:
    while destinations := ledger.deliveries.destinations_with_work(now):
        for destination in destinations:
            delivery = ledger.deliveries.claim(destination, now)
            assert delivery is not None
            ledger.deliveries.finish(delivery.delivery_id, status=0, now=now)


def test_a_delivered_study_of_sufficient_age_may_go(ledger: Ledger, tmp_path: Path) -> None:
    job = finished_job(ledger, tmp_path)
    deliver_all(ledger)
    assert not ledger.retention.purgeable(now=500.0, age_s=200.0)
    (study,) = ledger.retention.purgeable(now=LATER, age_s=200.0)
    assert study.study_instance_uid == STUDY
    assert set(study.instance_paths) == {i.path for i in ledger.jobs.inputs(job.job_id)[""]}
    assert set(study.result_paths) == {r.path for r in results_of(job)}
    assert ledger.retention.purge([STUDY], age_s=200.0, now=LATER) == (study,)
    assert not ledger.instances.known_paths()
    assert ledger.jobs.get(job.job_id).state is State.DONE
    assert ledger.results.is_ours(results_of(job)[0].sop_instance_uid)
    assert ledger.views.why(f"{SERIES}.1")[0].series[0].instance_count == 0


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED, State.AWAITING])
def test_the_undelivered_is_never_purged(ledger: Ledger, tmp_path: Path, state: State) -> None:
    finished_job(ledger, tmp_path)
    delivery = ledger.deliveries.claim("archive", 350.0)
    assert delivery is not None
    deliver_all(ledger)
    if state is State.QUEUED:
        ledger.deliveries.retry(delivery.delivery_id, not_before=1e9, now=401.0)
    elif state is State.FAILED:
        ledger.deliveries.refuse(delivery.delivery_id, now=401.0)
    elif state is State.AWAITING:
        ledger.deliveries.sent(delivery.delivery_id, "2.25.9", due_at=1e9, status=0, now=401.0)
    assert ledger.deliveries.get(delivery.delivery_id).state is state
    assert not ledger.retention.purgeable(now=LATER, age_s=0.0)
    assert not ledger.retention.purge([STUDY], age_s=0.0, now=LATER)


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED, State.HELD])
def test_a_study_with_an_unsettled_job_is_never_purged(ledger: Ledger, tmp_path: Path, state: State) -> None:
    job = queued_job(ledger, tmp_path)
    if state is not State.QUEUED:
        ledger.jobs.claim(300.0)
    if state is State.FAILED:
        ledger.jobs.refuse(job.job_id, "no", now=301.0)
    if state is State.HELD:
        ledger.jobs.hold(job.job_id, [], "no", now=301.0)
    assert not ledger.retention.purgeable(now=LATER, age_s=0.0)
    if state is not State.RUNNING:
        ledger.jobs.cancel(job.job_id, "nobody needs it", now=302.0)
        assert ledger.retention.purgeable(now=LATER, age_s=0.0)


def test_an_open_series_keeps_its_study(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    deliver_all(ledger)
    ledger.instances.add([instance(tmp_path, 1, series="1.9")])
    assert not ledger.retention.purgeable(now=LATER, age_s=0.0)
