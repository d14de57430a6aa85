"""Whatever an engine does, the node goes on: it tries again, and then says so where the physician looks."""

import json

import pydicom
import pytest

from tests.dicom_node.pipeline.engines import bad_engine
from tests.node_process import EXAMPLE_ENGINE, Target, dcmsend, node
from tests.pacs_servers import storescp, wait_until
from tests.synthetic_ct import write_ct

pytestmark = pytest.mark.dcmtk

BODY_AIR = f"""
[[engine]]
name = "body-air"
module = {json.dumps(str(EXAMPLE_ENGINE))}

[[rule]]
engine = "body-air"
when = {{ calling_ae_title = "GOOD" }}
"""
NAMES = ("raises", "crashes", "hangs")
TIME_LIMIT_S = 12
FAILED = "The analysis failed 2 times"


@pytest.fixture(scope="module")
def gone_through(tmp_path_factory):
    """A node through which one study went for each engine, and the reports that came of it, by engine."""
    folder = tmp_path_factory.mktemp("failing")
    flags = folder / "flags"
    flags.mkdir()
    engines = "".join(bad_engine(name, flags) for name in NAMES) + BODY_AIR
    limits = f"\n[inference]\nattempts = 2\ntime_limit_s = {TIME_LIMIT_S}\n"
    series = {name: write_ct(folder / name, slices=12, rows=32, salt=name) for name in (*NAMES, "good")}
    with (
        storescp(folder / "scp") as scp,
        node(folder / "node", Target("pacs", scp.ae_title, scp.port), engines=engines, more=limits) as running,
    ):
        for name in NAMES:
            assert dcmsend(running.port, series[name].paths, calling=name.upper()).returncode == 0
        log = folder / "node" / "process.log"
        wait_until(lambda: "SIGSEGV" in log.read_text(), "the engine has crashed", 60)
        assert dcmsend(running.port, series["good"].paths, calling="GOOD").returncode == 0
        running.wait_settled(48)
        yield running, log.read_text(), [pydicom.dcmread(path) for path in scp.files()]


def job(running, engine):
    with running.ledger() as ledger:
        (found,) = ledger.jobs.find(engine=engine)
    return found


def report(datasets, running, engine):
    (found,) = [d for d in datasets if d.Modality == "SR" and d.StudyInstanceUID == job(running, engine).study_instance_uid]
    return found


@pytest.mark.parametrize("engine", ["raises", "crashes"])
def test_after_the_last_attempt_a_report_says_that_the_analysis_failed(gone_through, engine):
    running, log, datasets = gone_through
    assert job(running, engine).attempts == 2
    text = report(datasets, running, engine).to_json()
    assert FAILED in text
    assert "111245" in text  # No algorithms succeeded, PS3.16 CID 6042
    lines = [line for line in log.splitlines() if f"engine={engine}" in line]
    assert any("failed, will be tried again" in line for line in lines)
    assert any("failed for good" in line and "alarm=True" in line for line in lines)


def test_the_log_names_kind_and_place_and_never_the_words_of_an_engine(gone_through):
    _, log, _ = gone_through
    assert "RuntimeError: at bad_engines.py:" in log
    assert "Patient" not in log


def test_an_engine_that_hangs_is_killed_at_its_limit_and_tried_again(gone_through):
    running, log, datasets = gone_through
    assert f"limit of {TIME_LIMIT_S} s and was killed" in log
    assert job(running, "hangs").attempts == 2
    assert FAILED not in report(datasets, running, "hangs").to_json()


def test_others_are_received_and_analysed_meanwhile(gone_through):
    running, _, datasets = gone_through
    assert job(running, "body-air").attempts == 1
    assert [d.Modality for d in datasets if d.StudyInstanceUID == job(running, "body-air").study_instance_uid].count("SEG") == 1


def test_a_job_run_again_by_a_person_replaces_the_report_of_its_failure(gone_through):
    running, _, datasets = gone_through
    failure = report(datasets, running, "raises")
    (running.directory.parent / "flags" / "repaired").touch()
    assert running.command("retry", "--job", str(job(running, "raises").job_id)).returncode == 0
    running.wait_settled(48)
    with running.ledger() as ledger:
        (made,) = [r for r in ledger.results.of_job(job(running, "raises").job_id) if r.rank == 0]
    replacing = pydicom.dcmread(made.path)
    assert replacing.SOPInstanceUID != failure.SOPInstanceUID
    assert replacing.SeriesInstanceUID == failure.SeriesInstanceUID
    series = replacing.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == failure.SOPInstanceUID
