"""Two processes on one ledger, a process that is killed while it writes, and how long things take."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from tests.dicom_node.ledger.builders import PACS, close, instance, queued_job, results_of
from tests.pacs_servers import wait_until

ROOT = Path(__file__).parents[3]
BATCH = 25

RECEIVER = f"""
import sys
from pathlib import Path
from dicom_node.ledger import Ledger
from tests.dicom_node.ledger.builders import instance
path, batches = Path(sys.argv[1]), int(sys.argv[2])
with Ledger.open(path) as ledger:
    print("open", flush=True)
    for batch in range(batches):
        numbers = range(batch * {BATCH}, (batch + 1) * {BATCH})
        ledger.instances.add([instance(path.parent, number, series=f"1.{{batch}}") for number in numbers])
"""


def receiver(ledger: Path, batches: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RECEIVER, str(ledger), str(batches)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_one_process_receives_while_another_works(tmp_path: Path) -> None:
    path, batches = tmp_path / "ledger.sqlite", 20
    with receiver(path, batches) as other, Ledger.open(path) as ledger:

        def work() -> bool:
            for series in ledger.series.open():
                if len(series.instances) == BATCH:
                    close(ledger, series.series_instance_uid)
            while job := ledger.jobs.claim(1000.0):
                ledger.jobs.finish(job.job_id, results_of(job), [PACS], now=1001.0)
            return len(ledger.jobs.find(states=[State.DONE])) == batches

        wait_until(work, "every series received and worked on", 120.0)
        assert other.wait(30.0) == 0
        assert ledger.views.status().instances == batches * BATCH
        assert ledger.views.status().deliveries == {"pacs": {State.QUEUED: 2 * batches}}


def test_a_killed_process_leaves_whole_batches(tmp_path: Path) -> None:
    path, chance = tmp_path / "ledger.sqlite", random.Random(7)
    for _ in range(6):
        with receiver(path, 10_000) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "open\n"
            try:
                other.wait(chance.uniform(0.0, 0.3))
            except subprocess.TimeoutExpired:
                other.send_signal(signal.SIGKILL)
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM instances").fetchone()[0] % BATCH == 0
        connection.close()
        with Ledger.open(path) as ledger:
            assert all(len(series.instances) == BATCH for series in ledger.series.open())


def test_each_job_and_delivery_goes_to_one_claimant(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as one, Ledger.open(path) as other:
        for number in range(6):
            queued_job(one, tmp_path, [number], series=f"1.{number}")
        claimed = [job for ledger in (one, other) * 4 if (job := ledger.jobs.claim(300.0))]
        assert sorted(job.job_id for job in claimed) == [1, 2, 3, 4, 5, 6]


def test_the_ledger_is_quick(tmp_path: Path) -> None:
    """Bounds that a busy machine keeps; the measured times are some ten times shorter."""
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        template = instance(tmp_path, 0)
        received = [replace(template, sop_instance_uid=f"1.9.{n}", path=tmp_path / f"{n}") for n in range(1000)]
        start = time.perf_counter()
        for first in range(0, 1000, 50):
            ledger.instances.add(received[first : first + 50])
        assert time.perf_counter() - start < 10.0
        close(ledger)
        start = time.perf_counter()
        job = ledger.jobs.claim(300.0)
        assert job is not None
        ledger.jobs.finish(job.job_id, results_of(job), [PACS], now=301.0)
        assert time.perf_counter() - start < 1.0
