"""Job by job: claim, run in the child, settle. A job's outcome is decided here and nowhere else."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import structlog

from dicom_node.errors import NodeError, PermanentError, TransientError
from dicom_node.infer.child import Child
from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from dicom_node.model import Job, ResultKind
from dicom_node.pipeline.analysis import Analysis, AnalysisTask, EngineSpec
from dicom_node.report import Equipment, ResultIdentity

log = structlog.get_logger()

EXTRA_KINDS = frozenset({ResultKind.SC, ResultKind.PM})
"""Made only where a destination takes them."""
RETRY_FIRST_S = 15.0
RETRY_CAP_S = 900.0
LAST_WORD_FACTOR = 2  # so many times the attempts, while not even the failure can be reported


@dataclass(frozen=True, slots=True)
class WorkSettings:
    """How jobs are run, and where their results go.

    Attributes:
        engines: by name, as configured.
        series_number_bases: Series Number of each engine's SEG; the SR follows it.
        destinations: the kinds of results that each destination takes; a job names its destinations.
        attempts: how often a job is tried before its result says that the analysis failed.
    """

    engines: Mapping[str, EngineSpec]
    series_number_bases: Mapping[str, int]
    destinations: Mapping[str, tuple[ResultKind, ...]]
    results_directory: Path
    equipment: Equipment = field(default_factory=Equipment)
    content_qualification: str = "RESEARCH"
    time_limit_s: float = 1800.0
    attempts: int = 3


class Workbench:
    """Runs jobs one after the other.

    Args:
        ledger: where jobs come from and results go.
        child: runs an `Analyst`.
        settings: as configured.
        on_finished: told after each job whose results are to be delivered.
        clock: the time, in seconds since the epoch.
    """

    def __init__(
        self,
        ledger: Ledger,
        child: Child,
        settings: WorkSettings,
        on_finished: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._child = child
        self._settings = settings
        self._on_finished = on_finished
        self._clock = clock
        self._stopping = Event()

    def run_once(self, worker: str = "") -> bool:
        """Claim one job and settle it; False if none was due."""
        job = None if self._stopping.is_set() else self._ledger.jobs.claim(self._clock(), worker)
        if job is None:
            return False
        structlog.contextvars.bind_contextvars(job=job.job_id, engine=job.engine, series=job.series_instance_uid)
        try:
            self._settle(job)
        finally:
            structlog.contextvars.clear_contextvars()
        return True

    def stop(self, drain_s: float, finished: Event) -> None:
        """Claim nothing more; after the drain time hand back what still runs."""
        self._stopping.set()
        if not finished.wait(drain_s):
            self._child.stop()

    def _settle(self, job: Job) -> None:
        log.info("job started", attempt=job.attempts, revision=job.revision)
        try:
            self._finish(job, self._analyse(job))
        except (TransientError, PermanentError) as error:
            self._failed(job, error)

    def _analyse(self, job: Job, failure: str = "") -> Analysis:
        spec = self._settings.engines.get(job.engine)
        if spec is None:
            raise PermanentError(f"engine {job.engine} is no longer configured: add its [[engine]] block, then retry the job")
        inputs = self._ledger.jobs.inputs(job.job_id)
        paths = {role: tuple(i.path for i in of) for role, of in inputs.items()}
        own = paths.pop("")
        as_of = max(i.received_at for of in inputs.values() for i in of)
        task = AnalysisTask(own, spec, self._identity(job, as_of), self._directory(job), failure, companions=paths)
        analysis: Analysis = self._child.run(task, self._settings.time_limit_s)
        return analysis

    def _identity(self, job: Job, as_of: float) -> ResultIdentity:
        return ResultIdentity(
            job.study_instance_uid,
            job.series_instance_uid,
            job.input_digest,
            as_of,
            job.revision,
            (*job.predecessors, *self._sent_reports(job)),
            job.remark,
            self._settings.equipment,
            self._settings.series_number_bases[job.engine],
            self._settings.content_qualification,
            extra_kinds=EXTRA_KINDS & {kind for name in job.destinations for kind in self._settings.destinations.get(name, ())},
        )

    def _sent_reports(self, job: Job) -> list[tuple[str, str, str]]:
        """SRs of this job's last run that a destination has: a failure's, when a person has the job run again."""
        has = {State.DONE, State.AWAITING, State.RUNNING}
        sent = {d.rank for d in self._ledger.deliveries.of_job(job.job_id) if d.kind is ResultKind.SR and d.state in has}
        reports = [r for r in self._ledger.results.of_job(job.job_id) if r.kind is ResultKind.SR and r.rank in sent]
        return [(r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid) for r in reports]

    def _finish(self, job: Job, analysis: Analysis) -> None:
        now = self._clock()
        if analysis.problems:
            reason = "the node's own check: " + "; ".join(analysis.problems)
            self._ledger.jobs.hold(job.job_id, analysis.results, reason, now=now)
            log.error("result held", alarm=True, problems=analysis.problems)
            return
        kinds = self._settings.destinations
        destinations = [(name, kinds[name]) for name in job.destinations if name in kinds]
        current = self._ledger.jobs.finish(job.job_id, analysis.results, destinations, analysis.summary, now=now)
        log.info(
            "job finished",
            outcome=analysis.outcome.value,
            summary=analysis.summary,
            device=analysis.device,
            timings_s=dict(analysis.timings_s),
            superseded=not current,
        )
        self._on_finished()

    def _failed(self, job: Job, error: NodeError) -> None:
        now = self._clock()
        if self._stopping.is_set() and isinstance(error, TransientError):
            self._ledger.jobs.hand_back(job.job_id, now=now)
            log.info("job handed back", reason="the node stops")
        elif job.attempts < self._settings.attempts:
            wait_s = min(RETRY_CAP_S, RETRY_FIRST_S * 2 ** (job.attempts - 1))
            self._ledger.jobs.retry(job.job_id, str(error), not_before=now + wait_s, now=now)
            log.warning("job failed, will be tried again", reason=str(error), wait_s=wait_s)
        else:
            log.error("job failed for good", alarm=True, reason=str(error))
            self._report_failure(job, error)

    def _report_failure(self, job: Job, error: NodeError) -> None:
        """A failure is a result too: an SR says so where the physician looks."""
        try:
            self._finish(job, self._analyse(job, f"The analysis failed {job.attempts} times; the node's log says why."))
        except (TransientError, PermanentError) as second:
            if self._stopping.is_set() and isinstance(second, TransientError):
                self._ledger.jobs.hand_back(job.job_id, now=self._clock())
                return
            reason = f"{error}; and no result could say so: {second}"
            if isinstance(second, TransientError) and job.attempts < LAST_WORD_FACTOR * self._settings.attempts:
                now = self._clock()
                self._ledger.jobs.retry(job.job_id, reason, not_before=now + 4 * RETRY_FIRST_S, now=now)
                log.warning("job failed, and its failure could not be reported; both are tried again", reason=reason)
                return
            self._ledger.jobs.refuse(job.job_id, reason, now=self._clock())
            log.error("job refused", alarm=True, reason=reason)

    def _directory(self, job: Job) -> Path:
        """A new folder for each run: the results of the last one may still be on their way; what a killed run left goes."""
        folder = self._settings.results_directory / f"job-{job.job_id:06d}"
        kept = {result.path.parent for result in self._ledger.results.of_job(job.job_id)}
        runs = sorted(folder.iterdir(), key=lambda run: int(run.name)) if folder.exists() else []
        for run in runs:
            if run not in kept:
                shutil.rmtree(run)
        return folder / str(int(runs[-1].name) + 1 if runs else 1)
