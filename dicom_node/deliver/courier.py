"""The loop that serves one destination: claim a delivery, send it, settle it; storage commitment and read-back after that.

Each destination has a courier and a thread of its own, so that a dead one holds up no other. A courier only sends files that
exist: whatever happens to a delivery, no engine runs again.
"""

import threading
from collections.abc import Callable, Sequence

import structlog
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicom_node.deliver.backoff import next_attempt
from dicom_node.deliver.bookkeeping import CourierLedger
from dicom_node.deliver.commitment import NotOffered, Requested, new_transaction_uid, request
from dicom_node.deliver.find import read_back
from dicom_node.deliver.outcome import NotAccepted, Permanent, SendOutcome, StoredWithWarning, Transient
from dicom_node.deliver.send import Parcel, Sender
from dicom_node.lifecycle import State
from dicom_node.model import Delivery, Destination, Result

LONGEST_WAIT_S = 5.0  # another process may requeue a delivery; nobody wakes the courier then
_RESULT_CLASSES = (
    SegmentationStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    SecondaryCaptureImageStorage,
    ParametricMapStorage,
)
_log = structlog.get_logger()


class Courier:
    """Serves one destination.

    Args:
        ledger: holds deliveries and results.
        destination: whom it serves.
        local_ae_title: who sends.
        clock: seconds since the epoch.
        report_wait_s: how long an association is kept open for a report of storage commitment.
    """

    def __init__(
        self,
        ledger: CourierLedger,
        destination: Destination,
        local_ae_title: str,
        clock: Callable[[], float],
        report_wait_s: float = 2.0,
    ) -> None:
        self._ledger = ledger
        self._destination = destination
        self._local_ae_title = local_ae_title
        self._clock = clock
        self._report_wait_s = report_wait_s
        self._work = threading.Event()
        self._sender = Sender(destination, local_ae_title, _RESULT_CLASSES)
        self._unsettled: int | None = None
        self._failures = 0  # associations in a row that did not come about
        self._held_since = self._held_until = 0.0
        self._log = _log.bind(destination=destination.name)

    def wake(self) -> None:
        """There may be something to send."""
        self._work.set()

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop; call `wake` after setting the event. What is being sent is finished first."""
        while not stop.is_set():
            self._work.clear()
            try:
                wait_s = 0.0 if self.run_once(self._clock()) else self._idle_s(self._clock())
            except Exception as error:  # noqa: BLE001 - the ledger may be away for a while; the thread has to outlive that
                self._log.error("courier was interrupted", error=type(error).__name__)
                wait_s = LONGEST_WAIT_S
            if wait_s > 0.0 and not stop.is_set():
                self._sender.close()
                self._work.wait(wait_s)
        self._sender.close()

    def run_once(self, now: float) -> bool:
        """Send what is due, or follow up one overdue commitment; False if there is nothing to do now."""
        self._release_unsettled(now)
        if now < self._held_until and not self._something_became_due(now):
            return False
        delivery = self._ledger.deliveries.claim(self._destination.name, now)
        if delivery is None:
            return self._follow_up(now)
        self._unsettled = delivery.delivery_id
        results = self._ledger.results.of_delivery(delivery)
        self._settle(delivery, results, self._send(results))
        self._unsettled = None
        return True

    def close(self) -> None:
        """Release the association; needed after `run_once` only."""
        self._sender.close()

    def _release_unsettled(self, now: float) -> None:
        """An interruption left a delivery claimed: it is sent again, under the same UID."""
        delivery_id = self._unsettled
        if delivery_id is not None and self._ledger.deliveries.get(delivery_id).state is State.RUNNING:
            self._ledger.deliveries.retry(delivery_id, not_before=now, message="interrupted before it was settled", now=now)
        self._unsettled = None

    def _send(self, results: Sequence[Result]) -> SendOutcome:
        """The outcome of the first result that was not stored, or of the last."""
        outcome: SendOutcome = Permanent(None, "no such form of the result is kept; run the job again")
        for result in results:
            try:
                outcome = self._sender.send(Parcel(result.path, result.sop_class_uid, result.sop_instance_uid))
            except Exception as error:  # noqa: BLE001 - whatever a file or a destination provokes settles this delivery alone
                self._sender.close()
                return Transient(f"sending failed unexpectedly ({type(error).__name__})", alarm=True)
            if isinstance(outcome, Transient | Permanent | NotAccepted):
                return outcome
        return outcome

    def _settle(self, delivery: Delivery, results: Sequence[Result], outcome: SendOutcome) -> None:
        queue, identifier, now = self._ledger.deliveries, delivery.delivery_id, self._clock()
        if not (isinstance(outcome, Transient) and outcome.unreachable):
            self._failures, self._held_until = 0, 0.0
        match outcome:
            case Transient():
                self._retry(delivery, outcome, now)
            case Permanent(status, reason):
                queue.refuse(identifier, status=status, message=reason, now=now)
                self._log.error("delivery refused for good", delivery=identifier, status=status)
            case NotAccepted(reason, status):
                if not queue.next_rank(identifier, status=status, message=reason, now=now):
                    self._log.error("delivery accepted in no form", delivery=identifier, status=status)
            case _:
                warning = outcome.warning if isinstance(outcome, StoredWithWarning) else ""
                self._stored(delivery, results, outcome.status, warning)

    def _retry(self, delivery: Delivery, outcome: Transient, now: float) -> None:
        not_before = next_attempt(delivery.attempts, self._destination, now, delivery.delivery_id)
        if outcome.unreachable:
            self._failures += 1
            self._held_since = now
            self._held_until = next_attempt(self._failures, self._destination, now, delivery.delivery_id)
            not_before = self._held_until
        self._ledger.deliveries.retry(
            delivery.delivery_id, not_before=not_before, status=outcome.status, message=outcome.reason, now=now
        )
        say = self._log.error if outcome.alarm else self._log.warning
        say(
            "delivery is tried again",
            delivery=delivery.delivery_id,
            attempt=delivery.attempts,
            status=outcome.status,
            unreachable=outcome.unreachable,
            wait_s=round(not_before - now, 1),
        )

    def _stored(self, delivery: Delivery, results: Sequence[Result], status: int, warning: str) -> None:
        queue, identifier, now = self._ledger.deliveries, delivery.delivery_id, self._clock()
        self._log.info("delivery stored", delivery=identifier, status=status, warning=bool(warning))
        if self._destination.storage_commitment:
            transaction_uid = new_transaction_uid()
            due_at = now + self._destination.commitment_wait_s
            if queue.sent(identifier, transaction_uid, due_at=due_at, status=status, message=warning, now=now):
                self._request(delivery, results, transaction_uid)
        elif self._destination.read_back and (held := self._read_back(results)) is not True:
            if held is False:
                self._retry(delivery, Transient("stored, but not found by C-FIND", status, alarm=True), self._clock())
            else:
                self._log.error("destination answers no C-FIND, the delivery is not read back", delivery=identifier)
                queue.finish(identifier, status=status, message="stored; C-FIND cannot be asked", now=self._clock())
        else:
            queue.finish(identifier, status=status, message=warning, now=now)

    def _follow_up(self, now: float) -> bool:
        """Look after one delivery whose commitment report is overdue."""
        overdue = [d for d in self._open_deliveries(State.AWAITING) if d.not_before <= now]
        if not overdue:
            return False
        delivery = overdue[-1]
        results = self._ledger.results.of_delivery(delivery)
        held = self._read_back(results)
        queue, identifier = self._ledger.deliveries, delivery.delivery_id
        if held is True:
            queue.confirm(identifier, "no report of storage commitment came; read back by C-FIND", now=self._clock())
        elif held is False:
            queue.retry(identifier, not_before=now, message="no report came, and C-FIND does not find it", now=self._clock())
            self._log.error("stored delivery is gone, sent again", delivery=identifier)
        else:
            transaction_uid, due_at = new_transaction_uid(), self._clock() + self._destination.commitment_wait_s
            if queue.ask_again(identifier, transaction_uid, due_at=due_at, now=self._clock()):
                self._request(delivery, results, transaction_uid)
        return True

    def _request(self, delivery: Delivery, results: Sequence[Result], transaction_uid: str) -> None:
        """Ask for storage commitment; the ledger knows the Transaction UID already, so a report may come by any way."""
        self._sender.close()  # some archives serve one association at a time
        classes = {r.sop_instance_uid: r.sop_class_uid for r in results}
        instances = [(sop_class_uid, uid) for uid, sop_class_uid in classes.items()]
        outcome = request(self._destination, self._local_ae_title, transaction_uid, instances, self._report_wait_s)
        now = self._clock()
        if isinstance(outcome, NotOffered):
            self._ledger.deliveries.confirm(delivery.delivery_id, "stored; storage commitment is not offered", now=now)
            self._log.error("destination offers no storage commitment", delivery=delivery.delivery_id)
        elif not isinstance(outcome, Requested):
            self._log.warning("storage commitment was not requested", delivery=delivery.delivery_id, reason=outcome.reason)
        elif outcome.report is not None:
            committed = [(classes.get(uid, ""), uid) for uid in sorted(outcome.report.committed)]
            failed = [(classes.get(uid, ""), uid, reason) for uid, reason in sorted(outcome.report.failed.items())]
            self._ledger.commitments.report(transaction_uid, committed, failed, now=now)

    def _read_back(self, results: Sequence[Result]) -> bool | None:
        """Whether the destination holds all of it; None where it cannot be asked."""
        self._sender.close()  # some archives serve one association at a time
        held: bool | None = True
        for result in results:
            try:
                study = dcmread(result.path, specific_tags=["StudyInstanceUID"], stop_before_pixels=True).StudyInstanceUID
            except (OSError, InvalidDicomError):
                return None
            uids = (study, result.series_instance_uid, result.sop_instance_uid)
            held = read_back(self._destination, self._local_ae_title, *uids)
            if held is not True:
                return held
        return held

    def _open_deliveries(self, *states: State) -> tuple[Delivery, ...]:
        return self._ledger.deliveries.find(states=states, destination=self._destination.name)

    def _something_became_due(self, now: float) -> bool:
        """Since the destination was found away: a new result or a person's requeue is worth another try at once."""
        return any(self._held_since < d.not_before <= now for d in self._open_deliveries(State.QUEUED))

    def _idle_s(self, now: float) -> float:
        """Until the next delivery or follow-up is due; one that is due already waits for another, which wakes us."""
        later = [d.not_before for d in self._open_deliveries(State.QUEUED, State.AWAITING) if d.not_before > now]
        return min([LONGEST_WAIT_S, *(at - now for at in later)])
