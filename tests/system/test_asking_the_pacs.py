"""A PACS that knows how many instances a series has is asked before the series is taken for whole."""

from dicom_node.demo.pacs import EmbeddedPacs
from dicom_node.model import Completeness
from tests.node_process import Target, dcmsend, node
from tests.pacs_servers import wait_until


def test_a_series_that_ends_too_early_waits_for_what_the_pacs_still_has(tmp_path, pacs, small_ct):
    for path in small_ct:
        pacs.rest.upload(path)
    target = Target("archive", pacs.ae_title, pacs.port)
    with node(tmp_path / "node", target, ask="archive", longest_wait_s=60.0) as running:
        assert dcmsend(running.port, small_ct[:-5]).returncode == 0
        wait_until(lambda: running.status().instances == len(small_ct) - 5, "all that was sent is indexed")
        looks = iter(range(200))  # four seconds and more: well over the quiet time
        wait_until(lambda: next(looks, None) is None, "the quiet time is over")
        assert running.status().open_series == 1
        assert dcmsend(running.port, small_ct[-5:]).returncode == 0
        running.wait_settled(len(small_ct))
        with running.ledger() as ledger:
            (job,) = ledger.jobs.find()
            assert job.revision == 1
            assert not job.remark


def test_what_never_comes_is_named_in_the_result(tmp_path, small_ct):
    with EmbeddedPacs(tmp_path / "archive") as archive:
        for path in small_ct:
            archive.archive.add(path.read_bytes())
        target = Target("archive", archive.ae_title, archive.port)
        with node(tmp_path / "node", target, ask="archive") as running:
            assert dcmsend(running.port, small_ct[:-5]).returncode == 0
            running.wait_settled(len(small_ct) - 5)
            with running.ledger() as ledger:
                (job,) = ledger.jobs.find()
                (why,) = ledger.views.why(job.study_instance_uid)
        assessment = why.series[0].assessment
        assert assessment is not None
        assert assessment.completeness is Completeness.INCOMPLETE
        assert "5" in job.remark
