"""However a study arrives, there is exactly one current result of it."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicom_node.lifecycle import State
from tests.node_process import Node, Target, dcmsend, node
from tests.pacs_servers import Orthanc, wait_until

RESULTS = 2  # one SEG, one SR


@pytest.fixture
def running(tmp_path: Path, pacs: Orthanc) -> Iterator[Node]:
    with node(tmp_path / "node", Target("pacs", pacs.ae_title, pacs.port)) as made:
        yield made


def results(pacs: Orthanc) -> list[str]:
    return pacs.rest.sop_instance_uids(Modality="SEG") + pacs.rest.sop_instance_uids(Modality="SR")


def send(running: Node, paths: list[Path]) -> None:
    sent = dcmsend(running.port, paths)
    assert sent.returncode == 0, sent.stderr


def test_the_same_study_sent_twice_gives_one_result(running, pacs, small_ct):
    send(running, small_ct)
    running.wait_settled(len(small_ct))
    first = results(pacs)
    send(running, small_ct)
    running.wait_settled(len(small_ct))
    assert len(first) == RESULTS
    assert results(pacs) == first
    with running.ledger() as ledger:
        assert len(ledger.jobs.find()) == 1


def test_a_series_interleaved_over_five_associations_gives_one_result(running, pacs, small_ct):
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda k: send(running, small_ct[k::5]), range(5)))
    running.wait_settled(len(small_ct))
    assert len(results(pacs)) == RESULTS
    with running.ledger() as ledger:
        (job,) = ledger.jobs.find()
        assert len(ledger.jobs.inputs(job.job_id)[""]) == len(small_ct)


def test_an_aborted_association_is_no_complete_study(running, pacs, small_ct):
    send(running, small_ct[::2])  # every second slice, then the connection is gone
    garbage = subprocess.Popen(["storescu", "-aec", "DICOM-NODE", "127.0.0.1", str(running.port), *map(str, small_ct[1:20:2])])
    wait_until(lambda: running.status().instances > len(small_ct) // 2 or garbage.poll() is not None, "some more have arrived")
    garbage.kill()
    garbage.wait()
    send(running, small_ct[1::2])
    running.wait_settled(len(small_ct))
    current = [seg for seg in pacs.rest.datasets(Modality="SEG") if seg.InstanceNumber == _last_revision(running)]
    assert len(current) == 1
    cited = current[0].ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert len(cited) == len(small_ct)


def test_late_slices_lead_to_a_revised_result_that_names_its_predecessor(running, pacs, small_ct):
    send(running, small_ct[:-20])
    running.wait_settled(len(small_ct) - 20)
    (first,) = pacs.rest.datasets(Modality="SR")
    send(running, small_ct[-20:])
    running.wait_settled(len(small_ct))
    reports = sorted(pacs.rest.datasets(Modality="SR"), key=lambda ds: int(ds.InstanceNumber))
    assert [int(ds.InstanceNumber) for ds in reports] == [1, 2]
    assert reports[0].SeriesInstanceUID == reports[1].SeriesInstanceUID
    study = reports[1].PredecessorDocumentsSequence[0]
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    with running.ledger() as ledger:
        assert {job.state for job in ledger.jobs.find()} == {State.DONE}


def _last_revision(running: Node) -> int:
    with running.ledger() as ledger:
        return max(job.revision for job in ledger.jobs.find())
