"""Whatever happens periodically, through APScheduler: sweeps, follow-ups, retention, the watchdog."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from dicom_node.errors import NodeError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Periodic:
    """Something done every so often; one run never overlaps the next."""

    name: str
    every_s: float
    action: Callable[[], object]


class Schedule:
    """Runs periodic actions in threads of its own until stopped.

    An action that raises is logged, and runs again at its next time: no failure of one sweep may end the node's sweeping.
    """

    def __init__(self, periodics: Sequence[Periodic]) -> None:
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(max(1, len(periodics)))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for p in periodics:
            self._scheduler.add_job(p.action, "interval", seconds=p.every_s, id=p.name, next_run_time=datetime.now(UTC))
        self._scheduler.add_listener(_log_failure, EVENT_JOB_ERROR)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """Start nothing more, and wait for what runs."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)


def _log_failure(event: JobExecutionEvent) -> None:
    error = event.exception
    reason = str(error) if isinstance(error, NodeError) else type(error).__name__  # a library's words may quote patient data
    log.error("periodic action failed", action=event.job_id, reason=reason, alarm=True)
