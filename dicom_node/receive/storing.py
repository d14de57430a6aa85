"""The seam between the network and the spool: whoever moves the bytes asks a `StoreHandler` and heeds its answer.

`begin`, `write` as often as data comes in, `commit`, and only then success is said.
"""

import re
from collections.abc import Callable
from typing import Protocol

import structlog

from dicom_node.receive.backpressure import Backpressure
from dicom_node.receive.part10 import StoreRequest, head
from dicom_node.receive.spool import IncomingFile, Spool, StoredFile
from dicom_node.receive.statuses import Status, StoreRefused

log = structlog.get_logger()

_UID = re.compile(r"[0-9.]{1,64}")  # wider than PS3.5 9.1: leading zeros in components are common, and do no harm


def loggable_uid(uid: str) -> str:
    """A UID that a peer sent, if it is one: anything else may name a patient."""
    return uid if _UID.fullmatch(uid) else ""


class StoreHandler(Protocol):
    """Takes instances."""

    def begin(self, request: StoreRequest) -> "Arrival":
        """Take an instance, whose dataset follows.

        Raises:
            StoreRefused: it is not taken; the sender is told the status.
        """
        ...


class Arrival(Protocol):
    """One instance that is arriving."""

    def write(self, *chunks: bytes | memoryview) -> None:
        """Append to the dataset; the chunks are not kept.

        Raises:
            StoreRefused: it cannot be kept.
        """
        ...

    def commit(self) -> None:
        """The dataset is whole. When this returns, file and name are on stable storage and 0x0000 may be sent.

        Raises:
            StoreRefused: it cannot be kept; nothing of it is visible.
        """
        ...

    def discard(self) -> None:
        """The dataset will not become whole. Allowed at any time; after `commit` it does nothing."""
        ...


class SpoolStore:
    """The `StoreHandler` that writes to the spool.

    Args:
        spool: where instances go.
        pressure: whether there is room.
        on_stored: told of every stored file; must not block and must not raise.
    """

    def __init__(self, spool: Spool, pressure: Backpressure, on_stored: Callable[[StoredFile], None]) -> None:
        self._spool = spool
        self._pressure = pressure
        self._on_stored = on_stored

    def begin(self, request: StoreRequest) -> "SpoolArrival":
        if not _UID.fullmatch(request.sop_instance_uid):
            raise StoreRefused(Status.INVALID_SOP_INSTANCE, "Affected SOP Instance UID is not a UID")
        if not _UID.fullmatch(request.sop_class_uid):
            raise StoreRefused(Status.NO_SUCH_SOP_CLASS, "Affected SOP Class UID is not a UID")
        before = head(request)  # may raise; no file is open yet
        try:
            if reason := self._pressure.reason():
                raise StoreRefused(Status.OUT_OF_RESOURCES, reason)
            incoming = self._spool.open()
        except OSError as error:
            raise out_of_resources(error) from error
        return SpoolArrival(incoming, before, self._on_stored)


class SpoolArrival:
    """One instance on its way into the spool."""

    def __init__(self, incoming: IncomingFile, head_bytes: bytes, on_stored: Callable[[StoredFile], None]) -> None:
        self._incoming = incoming
        self._head = head_bytes
        self._on_stored = on_stored

    def write(self, *chunks: bytes | memoryview) -> None:
        before, self._head = self._head, b""
        try:
            self._incoming.write(before, *chunks)
        except OSError as error:
            raise out_of_resources(error) from error

    def commit(self) -> None:
        if self._head:
            raise StoreRefused(Status.CANNOT_UNDERSTAND, "no dataset")
        try:
            stored = self._incoming.commit()
        except OSError as error:
            raise out_of_resources(error) from error
        self._on_stored(stored)

    def discard(self) -> None:
        try:
            self._incoming.discard()
        except OSError as error:  # a leftover under incoming/, dropped at the next start
            log.warning("temporary file not removed", error=error.strerror)


def out_of_resources(error: OSError) -> StoreRefused:
    """A700H: the sender tries again later."""
    return StoreRefused(Status.OUT_OF_RESOURCES, error.strerror or "the file could not be written")
