"""status, jobs, why, retry on a node that runs."""

import pydicom
import pytest

from tests.dicom_node.cli.program import answer, dicom_node
from tests.node_process import dcmsend

pytestmark = pytest.mark.dcmtk


def test_status_counts_what_came_ran_and_left(worked):
    told = answer("status", config=worked.node.configuration)
    assert told["jobs"].get("done", 0) >= 1
    assert told["deliveries"]["pacs"]["done"] >= 2
    assert told["instances"] >= len(worked.series.paths)
    assert told["last_received_at"] > 0
    table = dicom_node("status", config=worked.node.configuration)
    assert table.returncode == 0
    assert "pacs" in table.stdout
    assert "Something failed" not in table.stdout


def test_jobs_can_be_chosen_by_state(worked):
    (job,) = answer("jobs", "--state", "done", "--limit", 1, config=worked.node.configuration)
    assert (job["engine"], job["revision"], job["attempts"]) == ("body-air", 1, 1)
    assert job["series_instance_uid"] == worked.series.series_instance_uid
    assert answer("jobs", "--state", "failed", "--state", "held", config=worked.node.configuration) == []
    table = dicom_node("jobs", config=worked.node.configuration)
    assert worked.series.series_instance_uid in table.stdout


def test_why_tells_the_whole_story_and_names_no_patient(worked):
    (study,) = answer("why", "ACC0001", config=worked.node.configuration)
    told = next(s for s in study["series"] if s["series_instance_uid"] == worked.series.series_instance_uid)
    (told_job,) = told["jobs"]
    assert told["decisions"][0]["chosen"]
    assert told["assessment"]["completeness"] == "complete"
    assert {d["state"] for d in told_job["deliveries"]} == {"done"}
    table = dicom_node("why", "ACC0001", config=worked.node.configuration)
    assert table.returncode == 0
    for word in ("chosen: the rule matches", "SEG to pacs: done", "SR to pacs: done", "status 0000H", "What happened"):
        assert word in table.stdout
    assert "Patient" not in table.stdout
    assert "PID0001" not in table.stdout


def test_why_knows_a_result_by_its_uid_and_an_unknown_term_by_status_3(worked):
    result = pydicom.dcmread(worked.scp.files()[0]).SOPInstanceUID
    (study,) = answer("why", result, config=worked.node.configuration)
    assert study["study_instance_uid"] == worked.series.study_instance_uid
    unknown = dicom_node("why", "NO-SUCH", config=worked.node.configuration)
    assert unknown.returncode == 3
    assert "knows no study with NO-SUCH" in unknown.stdout
    assert answer("why", "NO-SUCH", config=worked.node.configuration, status=3) == []


def test_our_own_results_that_come_back_are_known_and_not_analysed(worked):
    before = len(answer("jobs", config=worked.node.configuration))
    ours = worked.scp.files()
    assert dcmsend(worked.node.port, ours).returncode == 0
    worked.node.wait_settled(len(worked.series.paths) + len(ours))
    (study,) = answer("why", "ACC0001", config=worked.node.configuration)
    returned = [s for s in study["series"] if s["modality"] in {"SEG", "SR"}]
    assert len(returned) == 2
    for series in returned:
        (decision,) = series["decisions"]
        assert not decision["chosen"]
        assert "a result of this node" in decision["reason"]
    assert len(answer("jobs", config=worked.node.configuration)) == before


def test_retry_runs_a_job_again_and_its_results_keep_their_uids(worked):
    before = {path.name: pydicom.dcmread(path) for path in worked.scp.files()}
    (job,) = answer("jobs", "--limit", 1, config=worked.node.configuration)
    done = dicom_node("retry", "--job", job["job_id"], config=worked.node.configuration)
    assert (done.returncode, done.stdout) == (0, "1 jobs and 0 deliveries queued again\n")
    worked.node.wait_settled(len(worked.series.paths))
    assert {path.name: pydicom.dcmread(path) for path in worked.scp.files()} == before


def test_retry_of_nothing_gives_status_3_and_of_something_unknown_1(worked):
    assert dicom_node("retry", "--failed", config=worked.node.configuration).returncode == 3
    unknown = dicom_node("retry", "--job", 4711, config=worked.node.configuration)
    assert unknown.returncode == 1
    assert "4711" in unknown.stderr
    assert "Traceback" not in unknown.stderr
