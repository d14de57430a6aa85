"""Jobs and deliveries under any order of events, against the rules that must always hold."""

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dicom_node.errors import IllegalTransitionError, LedgerError
from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from dicom_node.model import Delivery, Job, ResultKind
from tests.dicom_node.ledger.builders import ARCHIVE, PACS, close, instance, results_of

SERIES = ("1.1", "1.2")
DESTINATIONS = ("pacs", "archive")
LIVE = {State.QUEUED, State.RUNNING, State.FAILED, State.HELD}


class LedgerMachine(RuleBasedStateMachine):
    settings: ClassVar[settings]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-"))
        self.ledger = Ledger.open(self.folder / "ledger.sqlite")
        self.now = 1000.0
        self.numbers = 0
        self.stored: set[str] = set()  # SOP Instance UIDs that a destination said it has
        self.transactions = 0

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder)

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    def running_jobs(self) -> tuple[Job, ...]:
        return self.ledger.jobs.find(states=[State.RUNNING])

    def running_deliveries(self) -> tuple[Delivery, ...]:
        return self.ledger.deliveries.find(states=[State.RUNNING])

    @rule(series=st.sampled_from(SERIES))
    def receive(self, series: str) -> None:
        self.numbers += 1
        self.ledger.instances.add([instance(self.folder, self.numbers, series=series, at=self.tick())])

    @rule(series=st.sampled_from(SERIES), priority=st.integers(0, 1))
    def close_series(self, series: str, priority: int) -> None:
        if not self.ledger.series.is_open(series):
            return
        earlier = self.ledger.jobs.find(series_instance_uid=series)
        sending = {r.sop_instance_uid for d in self.running_deliveries() for r in self.ledger.results.of_delivery(d)}
        job = close(self.ledger, series, now=self.tick(), priority=priority)
        if job is not None:
            reports = {r.sop_instance_uid for other in earlier for r in results_of(other) if r.kind is ResultKind.SR}
            assert {uid for _, uid, _ in job.predecessors} == reports & (self.stored | sending)

    @rule()
    def claim_job(self) -> None:
        job = self.ledger.jobs.claim(self.tick())
        waiting = self.ledger.jobs.find(states=[State.QUEUED])
        assert job is not None or all(other.not_before > self.now for other in waiting)
        assert job is None or all(other.priority <= job.priority for other in waiting if other.not_before <= self.now)

    @precondition(lambda self: self.running_jobs())
    @rule(outcome=st.sampled_from(["finish", "retry", "refuse", "hold", "hand back", "cancel"]))
    def settle_job(self, outcome: str) -> None:
        jobs, job, now = self.ledger.jobs, self.running_jobs()[-1], self.tick()
        match outcome:
            case "finish":
                assert jobs.finish(job.job_id, results_of(job), [PACS, ARCHIVE], now=now)
            case "retry":
                assert jobs.retry(job.job_id, "transient", not_before=now + 3, now=now)
            case "refuse":
                assert jobs.refuse(job.job_id, "permanent", now=now)
            case "hold":
                assert jobs.hold(job.job_id, results_of(job), "check", now=now)
            case "hand back":
                assert jobs.hand_back(job.job_id, now=now)
            case _:
                jobs.cancel(job.job_id, now=now)

    @rule(destination=st.sampled_from(DESTINATIONS))
    def claim_delivery(self, destination: str) -> None:
        delivery = self.ledger.deliveries.claim(destination, self.tick())
        if delivery is not None and delivery.kind is ResultKind.SR:
            others = [d for d in self.ledger.deliveries.of_job(delivery.job_id) if d.destination == destination]
            assert all(d.state not in {State.QUEUED, State.RUNNING} for d in others if d.kind is ResultKind.SEG)

    @precondition(lambda self: self.running_deliveries())
    @rule(outcome=st.sampled_from(["finish", "finish", "sent", "retry", "refuse", "next", "cancel"]))
    def settle_delivery(self, outcome: str) -> None:
        queue, delivery, now = self.ledger.deliveries, self.running_deliveries()[-1], self.tick()
        if outcome in {"finish", "sent"}:
            self.stored |= {r.sop_instance_uid for r in self.ledger.results.of_delivery(delivery)}
        match outcome:
            case "finish":
                assert queue.finish(delivery.delivery_id, status=0, now=now)
            case "sent":
                self.transactions += 1
                assert queue.sent(delivery.delivery_id, f"2.25.{self.transactions}", due_at=now + 3, status=0, now=now)
            case "retry":
                assert queue.retry(delivery.delivery_id, not_before=now + 3, now=now)
            case "refuse":
                assert queue.refuse(delivery.delivery_id, now=now)
            case "next":
                queue.next_rank(delivery.delivery_id, now=now)
            case _:
                queue.cancel(delivery.delivery_id, now=now)

    @precondition(lambda self: self.ledger.deliveries.find(states=[State.AWAITING]))
    @rule(committed=st.booleans())
    def report_commitment(self, committed: bool) -> None:
        delivery = self.ledger.deliveries.find(states=[State.AWAITING])[0]
        (result,) = self.ledger.results.of_delivery(delivery)
        entry = (result.sop_class_uid, result.sop_instance_uid)
        failed = [] if committed else [(*entry, 0x0112)]
        assert self.ledger.commitments.report(delivery.transaction_uid, [entry] if committed else [], failed, now=self.tick())
        after = self.ledger.deliveries.get(delivery.delivery_id).state
        assert after is State.DONE if committed else after in {State.QUEUED, State.SUPERSEDED}

    @rule(number=st.integers(1, 8))
    def requeue_job(self, number: int) -> None:
        try:
            self.ledger.jobs.requeue(number, now=self.tick())
        except (LedgerError, IllegalTransitionError):
            return
        assert self.ledger.jobs.get(number).state is State.QUEUED

    @rule(number=st.integers(1, 8))
    def requeue_delivery(self, number: int) -> None:
        try:
            self.ledger.deliveries.requeue(number, now=self.tick())
        except (LedgerError, IllegalTransitionError):
            return
        assert self.ledger.deliveries.get(number).state is State.QUEUED

    @rule()
    def die_and_start_again(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.folder / "ledger.sqlite")
        self.ledger.jobs.release_interrupted(self.tick())
        self.ledger.deliveries.release_interrupted(self.tick())
        assert not self.running_jobs()
        assert not self.running_deliveries()

    @rule()
    def purge(self) -> None:
        for study in self.ledger.retention.purge(["1.2.3"], age_s=0.0, now=self.tick()):
            assert not any(job.state in LIVE for job in self.ledger.jobs.find(study_instance_uid=study.study_instance_uid))
            for path in study.instance_paths:
                path.unlink()

    @invariant()
    def only_the_newest_revision_is_live(self) -> None:
        for series in SERIES:
            revisions = sorted(self.ledger.jobs.find(series_instance_uid=series), key=lambda job: job.revision)
            assert [job.revision for job in revisions] == list(range(1, len(revisions) + 1))
            assert len({job.input_digest for job in revisions}) == len(revisions)
            for older in revisions[:-1]:
                assert older.state not in LIVE
                states = {delivery.state for delivery in self.ledger.deliveries.of_job(older.job_id)}
                assert not states & {State.QUEUED, State.HELD}


LedgerMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_the_rules_hold_whatever_happens = LedgerMachine.TestCase
