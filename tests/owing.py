"""Finished jobs on a real ledger, whose results are owed to destinations."""

import time
from collections.abc import Sequence
from pathlib import Path

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicom_node.ledger import Ledger
from dicom_node.ledger.revisions import JobRequest
from dicom_node.model import Assessment, Completeness, Destination, Instance, Result


def owe(ledger: Ledger, directory: Path, results: Sequence[Result], *destinations: Destination, number: int = 1) -> None:
    """A job that has finished with these results, to be delivered; each number makes a job of another series."""
    series, now = f"1.2.3.{number}", time.time()
    source = directory / f"source-{number}.dcm"
    source.touch()
    ledger.instances.add([Instance(f"{series}.1", CTImageStorage, series, "1.2.3", ExplicitVRLittleEndian, source, 0, now)])
    seen = ledger.series.get(series)
    assert seen is not None
    complete, request = Assessment(Completeness.COMPLETE, "quiet"), JobRequest("engine", str(number))
    assert ledger.series.close(seen, assessment=complete, decisions=[], jobs=[request], now=now)
    job = ledger.jobs.claim(now)
    assert job is not None
    kinds = sorted({result.kind for result in results})
    assert ledger.jobs.finish(job.job_id, results, [(d.name, kinds) for d in destinations], now=now)
