"""What a courier asks of the ledger, and no more; every method is durable when it returns."""

from collections.abc import Collection, Sequence
from typing import Protocol

from dicom_node.lifecycle import State
from dicom_node.model import Delivery, Result


class DeliveryQueue(Protocol):
    """The queue of what is to be sent, to all destinations."""

    def claim(self, destination: str, now: float) -> Delivery | None: ...
    def finish(self, delivery_id: int, *, status: int | None, message: str = "", now: float) -> bool: ...
    def sent(
        self, delivery_id: int, transaction_uid: str, *, due_at: float, status: int | None, message: str = "", now: float
    ) -> bool: ...
    def ask_again(self, delivery_id: int, transaction_uid: str, *, due_at: float, now: float) -> bool: ...
    def confirm(self, delivery_id: int, message: str = "", *, now: float) -> bool: ...
    def retry(
        self, delivery_id: int, *, not_before: float, status: int | None = None, message: str = "", now: float
    ) -> bool: ...
    def refuse(self, delivery_id: int, *, status: int | None = None, message: str = "", now: float) -> bool: ...
    def next_rank(self, delivery_id: int, *, status: int | None = None, message: str = "", now: float) -> bool: ...
    def get(self, delivery_id: int) -> Delivery: ...
    def find(
        self, *, states: Collection[State] = (), destination: str | None = None, limit: int | None = None
    ) -> tuple[Delivery, ...]: ...


class ResultStore(Protocol):
    def of_delivery(self, delivery: Delivery) -> tuple[Result, ...]: ...


class CommitmentReports(Protocol):
    def report(
        self,
        transaction_uid: str,
        committed: Sequence[tuple[str, str]],
        failed: Sequence[tuple[str, str, int]],
        *,
        now: float,
    ) -> bool: ...


class CourierLedger(Protocol):
    """The parts of the ledger that a courier works on."""

    @property
    def deliveries(self) -> DeliveryQueue: ...
    @property
    def results(self) -> ResultStore: ...
    @property
    def commitments(self) -> CommitmentReports: ...
