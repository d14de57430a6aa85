"""A node that is told to stop loses nothing: what runs is finished, or handed back and done after the next start."""

import json

import pytest

from dicom_node.config import load
from dicom_node.lifecycle import State
from dicom_node.node.processing import ProcessingService
from tests.dicom_node.pipeline.engines import bad_engine
from tests.node_process import Target, dcmsend, node
from tests.pacs_servers import storescp, wait_until
from tests.synthetic_ct import write_ct

pytestmark = pytest.mark.dcmtk

SLICES = 12


@pytest.fixture
def flags(tmp_path):
    folder = tmp_path / "flags"
    folder.mkdir()
    return folder


@pytest.fixture
def waiting(tmp_path, flags):
    """A PACS, and a node that has received one series and whose engine waits to be released; only receiving runs."""
    series = write_ct(tmp_path / "ct", slices=SLICES, rows=32)
    with (
        storescp(tmp_path / "scp") as scp,
        node(
            tmp_path / "node", Target("pacs", scp.ae_title, scp.port), engines=bad_engine("waits", flags), start=False
        ) as running,
    ):
        running.start("receive")
        assert dcmsend(running.port, series.paths, calling="WAITS").returncode == 0
        yield running, scp


def states(running):
    with running.ledger() as ledger:
        return [job.state for job in ledger.jobs.find()]


def test_sigterm_during_inference_lets_the_job_finish(waiting, flags):
    running, scp = waiting
    running.start("process")
    wait_until((flags / "begun").exists, "the engine has begun", 60)
    process = running.servers["process"].process
    process.terminate()
    log = running.directory / "process.log"
    wait_until(lambda: "stopping" in log.read_text(), "the node has heard it")
    (flags / "released").touch()
    assert process.wait(60) == 0
    assert states(running) == [State.DONE]
    running.servers.pop("process").stop()
    running.start("process")
    running.wait_settled(SLICES)
    assert len(scp.files()) == 1


def test_a_job_that_outlasts_the_drain_is_handed_back_and_done_after_the_next_start(waiting, flags):
    running, scp = waiting
    service = ProcessingService(load(running.configuration), drain_s=0.1)
    service.start()
    try:
        wait_until((flags / "begun").exists, "the engine has begun", 60)
    finally:
        service.stop()
    assert states(running) == [State.QUEUED]
    with running.ledger() as ledger:
        assert json.dumps([job.attempts for job in ledger.jobs.find()]) == "[0]"
    (flags / "released").touch()
    running.start("process")
    running.wait_settled(SLICES)
    assert len(scp.files()) == 1
