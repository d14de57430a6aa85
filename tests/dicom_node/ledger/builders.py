"""Plain values for tests of the ledger."""

from collections.abc import Iterable
from pathlib import Path

from dicom_node.ledger import JobRequest, Ledger
from dicom_node.model import Assessment, Completeness, Decision, Instance, Job, Result, ResultKind, Series

STUDY, SERIES, ENGINE = "1.2.3", "1.2.3.4", "lung-segmentation"
COMPLETE = Assessment(Completeness.COMPLETE, "quiet, nothing missing")
PACS = ("pacs", (ResultKind.SEG, ResultKind.SR))
ARCHIVE = ("archive", (ResultKind.SR,))


def instance(
    folder: Path,
    number: int,
    *,
    series: str = SERIES,
    study: str = STUDY,
    at: float = 100.0,
    copy: str = "",
    content: bytes = b"",
) -> Instance:
    """An instance whose file is there; `copy` names further files of the same instance."""
    path = folder / f"{series}.{number}{copy}.dcm"
    path.write_bytes(b"\0" * 128 + b"DICM" + (content or b"dataset %d" % number))
    return Instance(
        sop_instance_uid=f"{series}.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=series,
        study_instance_uid=study,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=path,
        size_bytes=path.stat().st_size,
        received_at=at,
        calling_ae_title="PACS",
        attributes={"AccessionNumber": ("A1",), "Modality": ("CT",), "ImageType": ("ORIGINAL", "PRIMARY")},
        planes=((0.0, 0.0, float(number), 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.7, 0.7, 512.0, 512.0),),
    )


def digest_of(series: Series) -> str:
    return ",".join(sorted(i.sop_instance_uid for i in series.instances))


def close(ledger: Ledger, series: str = SERIES, *, now: float = 200.0, priority: int = 0, engine: str = ENGINE) -> Job | None:
    """Close a series with one job; the job, if there is a new one."""
    seen = ledger.series.get(series)
    assert seen is not None
    before = {job.job_id for job in ledger.jobs.find()}
    decisions = [Decision(engine, series, chosen=True, reason="modality CT")]
    request = JobRequest(engine, digest_of(seen), priority)
    assert ledger.series.close(seen, assessment=COMPLETE, decisions=decisions, jobs=[request], now=now)
    return next((job for job in ledger.jobs.find() if job.job_id not in before), None)


def queued_job(
    ledger: Ledger, folder: Path, numbers: Iterable[int] = range(3), *, series: str = SERIES, priority: int = 0
) -> Job:
    """A job on newly received instances."""
    ledger.instances.add([instance(folder, number, series=series) for number in numbers])
    job = close(ledger, series, priority=priority)
    assert job is not None
    return job


def results_of(
    job: Job, kinds: Iterable[tuple[ResultKind, int]] = ((ResultKind.SEG, 0), (ResultKind.SR, 0), (ResultKind.SR, 1))
) -> list[Result]:
    return [
        Result(
            f"2.25.{job.job_id}.{order}.{rank}",
            f"1.2.{order}.{rank}",
            f"2.25.{order}.{rank}",
            kind,
            rank,
            Path(f"/r/{job.job_id}-{kind}-{rank}"),
        )
        for order, (kind, rank) in enumerate(kinds)
    ]


def finished_job(
    ledger: Ledger, folder: Path, numbers: Iterable[int] = range(3), *, series: str = SERIES, priority: int = 0
) -> Job:
    """A job that is done, with deliveries of SEG and SR to "pacs" and of the SR to "archive"."""
    job = queued_job(ledger, folder, numbers, series=series, priority=priority)
    assert ledger.jobs.claim(300.0) is not None
    assert ledger.jobs.finish(job.job_id, results_of(job), [PACS, ARCHIVE], "2 lungs", now=301.0)
    return ledger.jobs.get(job.job_id)
