"""What a destination refuses for good waits for a person; commitment and retention end what is delivered."""

import json

import pydicom
import pytest
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage, SegmentationStorage

from dicom_node.lifecycle import State
from tests.answering_scp import answering_scp
from tests.node_process import EXAMPLE_ENGINE, Target, dcmsend, node
from tests.pacs_servers import free_port, orthanc, storescp, wait_until
from tests.synthetic_ct import write_ct

pytestmark = pytest.mark.dcmtk

RESULT_CLASSES = [SegmentationStorage, Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage]
DOES_NOT_MATCH, SUCCESS = 0xA900, 0x0000
SLICES = 12
A_BLINK = "\n[retention]\nstudies_days = 0.000001\n"


def ct(directory, salt=""):
    return write_ct(directory, slices=SLICES, rows=32, salt=salt)


def test_a_refused_result_is_shown_and_delivered_when_a_person_says_so(tmp_path):
    series, answers = ct(tmp_path / "ct"), [DOES_NOT_MATCH]
    with (
        answering_scp(lambda _: answers[0], sop_class_uids=RESULT_CLASSES) as scp,
        node(tmp_path / "node", Target("strict", scp.ae_title, scp.port)) as running,
    ):
        assert dcmsend(running.port, series.paths).returncode == 0
        running.wait_settled(SLICES)
        status = running.command("status", "--json")
        assert status.returncode == 1
        assert json.loads(status.stdout)["deliveries"]["strict"] == {"failed": 2}
        assert "Something failed or is held" in running.command("status").stdout
        told = running.command("why", series.study_instance_uid).stdout
        assert "SEG to strict: failed after 1 try, status A900H" in told
        answers[0] = SUCCESS
        scp.received.clear()
        retried = running.command("retry", "--failed")
        assert (retried.returncode, retried.stdout) == (0, "0 jobs and 2 deliveries queued again\n")
        running.wait_settled(SLICES)
        assert len(scp.received) == 2
        assert running.command("status").returncode == 0


@pytest.mark.orthanc
def test_a_result_is_done_when_the_pacs_has_committed_to_it(tmp_path):
    series = ct(tmp_path / "ct")
    with orthanc(tmp_path / "orthanc") as pacs:
        target = Target("pacs", pacs.ae_title, pacs.port, "storage_commitment = true")
        with node(tmp_path / "node", target) as running:
            peer = json.dumps(["DICOM-NODE", "127.0.0.1", running.port]).encode()
            pacs.rest.call("/modalities/node", peer, "PUT")
            assert dcmsend(running.port, series.paths).returncode == 0
            running.wait_settled(SLICES)
            with running.ledger() as ledger:
                deliveries = ledger.deliveries.find()
            assert {d.state for d in deliveries} == {State.DONE}
            assert all(d.transaction_uid and "committed" in d.message for d in deliveries)
            assert len(pacs.rest.find()) == 2


def test_files_go_when_their_time_is_over_and_never_before_they_are_delivered(tmp_path):
    delivered, owed = ct(tmp_path / "delivered", "one"), ct(tmp_path / "owed", "two")
    rules = "".join(
        f'\n[[rule]]\nengine = "body-air"\ndestinations = ["{name}"]\nwhen = {{ calling_ae_title = "{name.upper()}" }}\n'
        for name in ("pacs", "dead")
    )
    with storescp(tmp_path / "scp") as scp:
        targets = [Target("pacs", scp.ae_title, scp.port), Target("dead", "NOBODY", free_port())]
        with node(tmp_path / "node", *targets, engines=_engine() + rules, more=A_BLINK) as running:
            assert dcmsend(running.port, delivered.paths, calling="PACS").returncode == 0
            assert dcmsend(running.port, owed.paths, calling="DEAD").returncode == 0
            wait_until(lambda: len(scp.files()) == 2 and _attempts(running, "dead") > 1, "one is delivered, one is not", 60)
            running.kill("process")
            running.start("process")  # retention runs at the start, and every hour
            wait_until(lambda: len(_spooled(running)) == SLICES, "the delivered study's files are gone", 30)
            assert _held_studies(running) == {owed.study_instance_uid}
            wait_until(lambda: len(list((running.state / "results").iterdir())) == 1, "so are its results", 30)
            assert dcmsend(running.port, delivered.paths, calling="PACS").returncode == 0
            wait_until(lambda: running.status().instances == 2 * SLICES and not running.status().open_series, "routed", 30)
            with running.ledger() as ledger:
                assert [job.state for job in ledger.jobs.find()] == [State.DONE, State.DONE]
            assert len(scp.files()) == 2


def _engine() -> str:
    return f'\n[[engine]]\nname = "body-air"\nmodule = {json.dumps(str(EXAMPLE_ENGINE))}\n'


def _attempts(running, destination):
    with running.ledger() as ledger:
        return max((d.attempts for d in ledger.deliveries.find(destination=destination)), default=0)


def _spooled(running):
    return list((running.state / "spool" / "instances").rglob("*.dcm"))


def _held_studies(running):
    return {str(pydicom.dcmread(path).StudyInstanceUID) for path in _spooled(running)}
