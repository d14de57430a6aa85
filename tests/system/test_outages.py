"""A dead PACS or a killed node delays a result, and never loses or doubles it."""

import hashlib
import random
from pathlib import Path

import pydicom
import pytest

from tests.node_process import Node, Target, dcmsend, node
from tests.pacs_servers import Orthanc, is_listening, orthanc, storescp, wait_until

RESULTS = 2
SEED = 20261121


def test_a_pacs_that_is_down_during_inference_gets_the_result_when_it_is_up(tmp_path, small_ct):
    with orthanc(tmp_path / "orthanc", start=False) as pacs, node(tmp_path / "node", _target(pacs)) as running:
        assert dcmsend(running.port, small_ct).returncode == 0
        wait_until(lambda: running.status().instances == len(small_ct), "everything is received")
        wait_until(lambda: _attempts(running) >= 2, "the node has tried twice to deliver", 90)
        pacs.start()
        running.wait_settled(len(small_ct))
        assert len(_results(pacs)) == RESULTS
        with running.ledger() as ledger:
            assert [job.attempts for job in ledger.jobs.find()] == [1]


def test_a_dead_destination_holds_up_no_other(tmp_path, small_ct, pacs):
    dead = Target("dead", "NOBODY", 9)
    with node(tmp_path / "node", dead, _target(pacs)) as running:
        assert dcmsend(running.port, small_ct).returncode == 0
        pacs.rest.wait_for(1, 120, Modality="SEG")
        pacs.rest.wait_for(1, 120, Modality="SR")
        assert len(_results(pacs)) == RESULTS


@pytest.mark.parametrize("kills", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_loses_and_doubles_nothing(tmp_path, small_ct, pacs, kills):
    chance = random.Random(SEED)
    with node(tmp_path / "node", _target(pacs)) as running:
        rest = list(small_ct)
        for _ in range(kills):
            acknowledged = _send_some(running, rest[: max(1, len(small_ct) // kills)])
            rest = [path for path in rest if path not in acknowledged]
            wait_until(_moment(chance), "a random moment")
            victim = chance.choice([("receive",), ("process",), ("receive", "process")])
            running.kill(*victim)
            running.start(*victim)
        while rest:
            acknowledged = _send_some(running, rest)
            rest = [path for path in rest if path not in acknowledged]
        running.wait_settled(len(small_ct), 300)
        assert _datasets(_spooled(running)) == _datasets(small_ct)
        revision = _jobs(running)[0].revision
        current = [ds for ds in pacs.rest.datasets(Modality="SEG") if ds.InstanceNumber == revision]
        assert len(current) == 1
        assert len(current[0].ReferencedSeriesSequence[0].ReferencedInstanceSequence) == len(small_ct)
        reports = pacs.rest.datasets(Modality="SR")
        assert len({int(ds.InstanceNumber) for ds in reports}) == len(reports)


def test_a_lost_ledger_is_rebuilt_from_the_spool_and_the_results_keep_their_uids(tmp_path, small_ct, pacs):
    with node(tmp_path / "node", _target(pacs)) as running:
        assert dcmsend(running.port, small_ct).returncode == 0
        running.wait_settled(len(small_ct))
        before = _results(pacs)
        running.stop()
        for file in running.state.glob("ledger.sqlite*"):
            file.unlink()
        running.start()
        running.wait_settled(len(small_ct))
        assert _results(pacs) == before


def test_a_restart_while_a_job_waits_goes_on_where_it_was(tmp_path, small_ct):
    with storescp(tmp_path / "scp") as scp, node(tmp_path / "node", Target("scp", scp.ae_title, scp.port), start=False) as n:
        n.start("receive")
        assert dcmsend(n.port, small_ct).returncode == 0
        n.stop()
        assert not is_listening(n.port)
        n.start()
        n.wait_settled(len(small_ct))
        assert len(scp.files()) == RESULTS


def _target(pacs: Orthanc) -> Target:
    return Target("pacs", pacs.ae_title, pacs.port)


def _results(pacs: Orthanc) -> list[str]:
    return pacs.rest.sop_instance_uids(Modality="SEG") + pacs.rest.sop_instance_uids(Modality="SR")


def _attempts(running: Node) -> int:
    with running.ledger() as ledger:
        return max((delivery.attempts for delivery in ledger.deliveries.find()), default=0)


def _jobs(running: Node):
    with running.ledger() as ledger:
        return ledger.jobs.find()


def _moment(chance: random.Random):
    """A condition that holds after 0 to 60 looks."""
    looks = iter(range(chance.randrange(60)))
    return lambda: next(looks, None) is None


def _send_some(running: Node, paths: list[Path]) -> set[Path]:
    """Send; which were acknowledged, by the sender's own report."""
    report = running.directory / "sent.txt"
    report.unlink(missing_ok=True)
    dcmsend(running.port, paths, "--create-report-file", str(report))
    text = report.read_text(errors="replace") if report.exists() else ""
    blocks = [block for block in text.split("\n\n") if "0x0000" in block]
    return {path for path in paths if any(str(path) in block for block in blocks)}


def _spooled(running: Node) -> list[Path]:
    return sorted((running.state / "spool" / "instances").rglob("*.dcm"))


def _datasets(paths: list[Path]) -> dict[str, str]:
    """SHA-256 of the dataset's bytes, by SOP Instance UID."""
    found = {}
    for path in paths:
        meta = pydicom.filereader.read_file_meta_info(path)
        start = 144 + meta.FileMetaInformationGroupLength
        found[str(meta.MediaStorageSOPInstanceUID)] = hashlib.sha256(path.read_bytes()[start:]).hexdigest()
    return found
