from pathlib import Path

import pytest

from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from dicom_node.model import Completeness, ResultKind
from tests.dicom_node.ledger.builders import SERIES, STUDY, finished_job, instance, queued_job, results_of


def test_an_empty_ledger_has_an_empty_status(ledger: Ledger) -> None:
    status = ledger.views.status()
    assert (status.open_series, status.instances, status.quarantined, status.jobs, status.deliveries) == (0, 0, 0, {}, {})
    assert status.last_received_at is None


def test_the_status_counts_what_waits_and_since_when(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path, series="1.1")
    queued_job(ledger, tmp_path, series="1.2")
    ledger.instances.add([instance(tmp_path, 0, series="1.3", at=777.0)])
    ledger.instances.quarantine(tmp_path / "odd", "no DICOM file", 5.0)
    status = ledger.views.status()
    assert (status.open_series, status.instances, status.quarantined) == (1, 7, 1)
    assert status.jobs == {State.DONE: 1, State.QUEUED: 1}
    assert status.deliveries == {"archive": {State.QUEUED: 1}, "pacs": {State.QUEUED: 2}}
    assert status.oldest_queued_job_at == 200.0
    assert status.oldest_undelivered_at == {"archive": 301.0, "pacs": 301.0}
    assert status.last_received_at == 777.0


@pytest.mark.parametrize("term", ["A1", STUDY, SERIES, f"{SERIES}.1", "2.25.1.0.0", "2.25.0.0"])
def test_a_study_is_found_by_everything_that_names_it(ledger: Ledger, tmp_path: Path, term: str) -> None:
    finished_job(ledger, tmp_path)
    results = results_of(ledger.jobs.get(1))
    assert results[0].sop_instance_uid == "2.25.1.0.0"
    (why,) = ledger.views.why(term)
    assert (why.study_instance_uid, why.accession_number) == (STUDY, "A1")


@pytest.mark.parametrize("term", ["", "A2", "%", "9.9.9"])
def test_nothing_is_said_of_what_is_unknown(ledger: Ledger, tmp_path: Path, term: str) -> None:
    finished_job(ledger, tmp_path)
    assert ledger.views.why(term) == ()


def test_why_tells_the_story_in_order(ledger: Ledger, tmp_path: Path) -> None:
    finished_job(ledger, tmp_path)
    delivery = ledger.deliveries.claim("archive", 302.0)
    assert delivery is not None
    ledger.deliveries.finish(delivery.delivery_id, status=0xB000, message="coercion", now=303.0)
    (series,) = ledger.views.why("A1")[0].series
    assert series.assessment is not None
    assert series.assessment.completeness is Completeness.COMPLETE
    assert [(d.engine, d.chosen) for d in series.decisions] == [("lung-segmentation", True)]
    (job,) = series.jobs
    assert (job.summary, len(job.results), len(job.deliveries)) == ("2 lungs", 3, 3)
    sent = next(d for d in job.deliveries if d.destination == "archive")
    assert (sent.kind, sent.state, sent.status, sent.message) == (ResultKind.SR, State.DONE, 0xB000, "coercion")
    changes = [(e.subject, e.change) for e in ledger.views.why("A1")[0].events]
    assert [change for change in changes if change[0] == "series"] == [("series", "opened"), ("series", "closed")]
    assert [c for s, c in changes if s == "job"] == ["queued", "claim", "finish"]
    assert changes[-1] == ("delivery", "finish")


def test_a_note_is_part_of_the_story(ledger: Ledger, tmp_path: Path) -> None:
    queued_job(ledger, tmp_path)
    ledger.history.note("job", 1, "warning", "slow", now=999.0)
    assert ledger.views.why(STUDY)[0].events[-1].detail == "slow"
