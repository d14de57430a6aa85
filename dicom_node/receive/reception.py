"""One C-STORE, from its command to its status, whichever way the dataset comes in."""

import time
from collections.abc import Callable

import structlog

from dicom_node.receive.command import StoreCommand
from dicom_node.receive.contexts import is_stored
from dicom_node.receive.part10 import StoreRequest
from dicom_node.receive.settings import ReceiverSettings
from dicom_node.receive.statuses import Status, StoreRefused
from dicom_node.receive.storing import Arrival, StoreHandler, loggable_uid

log = structlog.get_logger()


class TooSlowError(Exception):
    """The dataset took longer than an instance may; the association is to be aborted."""


class Reception:
    """Keeps an instance, or remembers why not; what is refused is still read to its end, for only then can it be answered.

    Args:
        command: the request.
        abstract_syntax: of the presentation context that it came on.
        request: makes what the store is told.
        store: takes the instance.
        settings: the limits.
    """

    def __init__(
        self,
        command: StoreCommand,
        abstract_syntax: str,
        request: Callable[[StoreCommand], StoreRequest],
        store: StoreHandler,
        settings: ReceiverSettings,
    ) -> None:
        self.command = command
        self._arrival: Arrival | None = None
        self._refused: StoreRefused | None = None
        self._left = settings.max_instance_bytes
        self._largest = settings.max_instance_bytes
        self._deadline = time.monotonic() + settings.max_instance_s
        try:
            if command.sop_class_uid != abstract_syntax:
                raise StoreRefused(
                    Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, "SOP class is not that of the presentation context"
                )
            if not is_stored(abstract_syntax, settings):
                raise StoreRefused(Status.SOP_CLASS_NOT_SUPPORTED, "SOP class is none of storage")
            if not command.has_dataset:
                raise StoreRefused(Status.CANNOT_UNDERSTAND, "no dataset")
            self._arrival = store.begin(request(command))
        except Exception as error:  # noqa: BLE001  # settled here: the sender must hear of it
            self._refuse(error)

    def write(self, *chunks: memoryview) -> None:
        """More of the dataset.

        Raises:
            TooSlowError: it has been coming for too long.
        """
        if time.monotonic() > self._deadline:
            raise TooSlowError
        if self._arrival is None:
            return
        try:
            self._left -= sum(map(len, chunks))
            if self._left < 0:
                raise StoreRefused(Status.CANNOT_UNDERSTAND, f"more than {self._largest} bytes, the limit of an instance")
            self._arrival.write(*chunks)
        except Exception as error:  # noqa: BLE001  # settled here: the sender must hear of it
            self._refuse(error)

    def end(self) -> tuple[Status, str]:
        """The dataset is whole: keep it. The status to answer with, and a word about a failure."""
        if self._arrival is not None:
            try:
                self._arrival.commit()
            except Exception as error:  # noqa: BLE001  # settled here: the sender must hear of it
                self._refuse(error)
        if self._refused is None:
            self._arrival = None
            return Status.SUCCESS, ""
        log.warning(
            "C-STORE refused",
            sop_instance_uid=loggable_uid(self.command.sop_instance_uid),
            status=f"{self._refused.status:04X}H",
            reason=self._refused.reason,
        )
        return self._refused.status, self._refused.reason

    def abandon(self) -> None:
        """The rest will not come: leave nothing."""
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.discard()

    def _refuse(self, error: Exception) -> None:
        if isinstance(error, StoreRefused):
            self._refused = error
        else:
            log.error("C-STORE failed", exc_info=error, sop_instance_uid=loggable_uid(self.command.sop_instance_uid))
            self._refused = StoreRefused(Status.PROCESSING_FAILURE, "internal error")
        self.abandon()
