"""From instances to jobs: assess every open series, route what is whole, close it and queue its jobs in one transaction."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import structlog

from dicom_node.assemble import assess, input_digest
from dicom_node.config import RuleSettings
from dicom_node.errors import NodeError
from dicom_node.ledger import JobRequest, Ledger
from dicom_node.lifecycle import State
from dicom_node.model import AssemblyPolicy, Assessment, Completeness, Series
from dicom_node.route import Choice, Ours, Routing, Stage, StudySeries, route

log = structlog.get_logger()

CountQuery = Callable[[Series], int | None]
"""How many instances a PACS says that a series has; None if it cannot be asked now."""


class Rulebook(NamedTuple):
    """What routing goes by.

    Attributes:
        rules: in order, of enabled engines.
        engines: all configured engines: each gets a decision.
        disabled: engines that do not run.
        destinations: the names of those that take a rule's results.
    """

    rules: Sequence[RuleSettings]
    engines: Sequence[str]
    disabled: frozenset[str] = frozenset()
    destinations: Callable[[RuleSettings], tuple[str, ...]] = lambda rule: rule.destinations or ()


class _Answer(NamedTuple):
    """What a PACS said of a series, when, and how many of its instances were here then."""

    at: float
    here: int
    said: int | None


class Intake:
    """Decides what is to be done with each series, once it is whole.

    Args:
        ledger: where series come from and jobs go.
        rulebook: as configured.
        policy: when a series is complete.
        count: asks a PACS; None where none is to be asked.
    """

    def __init__(self, ledger: Ledger, rulebook: Rulebook, policy: AssemblyPolicy, count: CountQuery | None = None) -> None:
        self._ledger = ledger
        self._rulebook = rulebook
        self._policy = policy
        self._count = count
        self._answers: dict[str, _Answer] = {}
        self._undecided: dict[str, int] = {}

    def sweep(self, now: float) -> int:
        """Close every series that is whole or waited for long enough. How many were closed.

        A series on which this fails for another reason than the ledger stays open, and holds up no other.
        """
        closed = 0
        for series in self._ledger.series.open(quiet_since=now - self._policy.quiet_s):
            try:
                closed += self._decide(series, now)
            except NodeError:
                raise
            except Exception as error:  # noqa: BLE001 - what became of this series is settled here
                self._say_undecided(series, error, now)
        return closed

    def _decide(self, series: Series, now: float) -> bool:
        assessment = self._assess(series, now)
        return assessment.completeness is not Completeness.WAITING and self._close(series, assessment, now)

    def _say_undecided(self, series: Series, error: Exception, now: float) -> None:
        """Once for what is here of the series; it is tried again at every sweep."""
        uid, here = series.series_instance_uid, len(series.instances)
        if self._undecided.get(uid) == here:
            return
        self._undecided[uid] = here
        kind = type(error).__name__  # its words may quote patient data
        self._ledger.history.note("series", uid, "undecided", f"deciding failed ({kind}); it stays open", now=now)
        log.error("series cannot be decided", series=uid, reason=kind, alarm=True)

    def _assess(self, series: Series, now: float) -> Assessment:
        """Ask the PACS only where nothing else speaks for waiting."""
        assessment = assess(series, now, self._policy, None)
        if assessment.completeness is not Completeness.WAITING and self._count is not None:
            return assess(series, now, self._policy, self._expected(series, now, self._count))
        return assessment

    def _expected(self, series: Series, now: float, count: CountQuery) -> int | None:
        """What the PACS says; asked again when something came, and after the quiet time."""
        uid, here = series.series_instance_uid, len(series.instances)
        answer = self._answers.get(uid)
        if answer is None or answer.here != here or now - answer.at >= self._policy.quiet_s:
            answer = self._answers[uid] = _Answer(now, here, count(series))
        return answer.said

    def _close(self, series: Series, assessment: Assessment, now: float) -> bool:
        routing = self._route(series, now)
        if routing.deferred:
            return False
        remark = assessment.reason if assessment.completeness is Completeness.INCOMPLETE else ""
        jobs = [self._request(series, choice, remark) for choice in routing.choices]
        closed = self._ledger.series.close(series, assessment=assessment, decisions=routing.decisions, jobs=jobs, now=now)
        if closed:
            self._reopen_dependents(series, now)
            self._answers.pop(series.series_instance_uid, None)
            self._undecided.pop(series.series_instance_uid, None)
            log.info(
                "series closed",
                series=series.series_instance_uid,
                instances=len(series.instances),
                completeness=assessment.completeness.value,
                engines=[job.engine for job in jobs],
            )
        return closed

    def _request(self, series: Series, choice: Choice, remark: str = "") -> JobRequest:
        rule, companions = choice.rule, choice.companions
        digest = input_digest(series, companions)
        return JobRequest(rule.engine, digest, rule.priority, remark, self._rulebook.destinations(rule), companions)

    def _reopen_dependents(self, closed: Series, now: float) -> None:
        """A series that takes a role for another one, and came or changed after that one's job was queued, revises it.

        That one is opened again, and decided like a series with late slices.
        """
        if not any(rule.roles for rule in self._rulebook.rules):
            return
        for other in self._ledger.series.of_study(closed.study_instance_uid):
            uid = other.series_instance_uid
            if uid != closed.series_instance_uid and self._has_other_inputs(other, now):
                self._ledger.series.reopen(uid, f"series {closed.first('SeriesNumber')} of the study came or changed", now)

    def _has_other_inputs(self, series: Series, now: float) -> bool:
        """Whether a series that was closed before would get a job on other inputs now."""
        jobs = self._ledger.jobs.find(series_instance_uid=series.series_instance_uid)
        ran = {job.engine for job in jobs if job.state is not State.CANCELLED}
        if not ran.intersection(rule.engine for rule in self._rulebook.rules if rule.roles):
            return False
        if self._ledger.series.is_open(series.series_instance_uid):
            return False
        known = {(job.engine, job.input_digest) for job in jobs}
        routing = self._route(series, now)
        requests = [self._request(series, choice) for choice in routing.choices if choice.companions]
        return any(r.engine in ran and (r.engine, r.input_digest) not in known for r in requests)

    def _route(self, series: Series, now: float) -> Routing:
        study = [self._of_study(other, now) for other in self._ledger.series.of_study(series.study_instance_uid)]
        return route(
            series,
            self._rulebook.rules,
            engines=self._rulebook.engines,
            disabled=self._rulebook.disabled,
            study=study,
            ours=self._ours([entry.series for entry in study]),
        )

    def _of_study(self, series: Series, now: float) -> StudySeries:
        jobs = self._ledger.jobs.find(series_instance_uid=series.series_instance_uid)
        engines = frozenset(job.engine for job in jobs if job.state is not State.CANCELLED)
        if not self._ledger.series.is_open(series.series_instance_uid):
            return StudySeries(series, Stage.ROUTED, engines)
        waiting = assess(series, now, self._policy, None).completeness is Completeness.WAITING
        return StudySeries(series, Stage.COLLECTING if waiting else Stage.WHOLE, engines)

    def _ours(self, study: Iterable[Series]) -> Ours:
        """Which series of the study the node made: a PACS that forwards everything sends them back."""
        return Ours(
            series_instance_uids=frozenset(
                s.series_instance_uid for s in study if self._ledger.results.is_ours(s.series_instance_uid)
            )
        )
