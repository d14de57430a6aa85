"""A small PACS for the demo, where no other is installed: stores, answers queries, commits, and forwards.

It serves Verification, Storage, Query/Retrieve (C-FIND, study root) and Storage Commitment over the network; its files are an
`Archive`.
"""

import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_role, evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from dicom_node.deliver.association import (
    STORAGE_COMMITMENT_INSTANCE,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STUDY_ROOT_FIND,
    VERIFICATION,
    NoAssociationError,
    associate,
    native_contexts,
)
from dicom_node.deliver.outcome import SendOutcome
from dicom_node.deliver.send import Parcel, send_all
from dicom_node.demo.archive import Archive
from dicom_node.errors import PermanentError
from dicom_node.model import Destination

if TYPE_CHECKING:
    from pynetdicom.transport import ThreadedAssociationServer

_SUCCESS, _PENDING = 0x0000, 0xFF00
_OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0xA700, 0xC000
_NO_SUCH_OBJECT_INSTANCE, _NO_SUCH_ACTION_TYPE = 0x0112, 0x0123
_ALL_COMMITTED, _FAILURES_EXIST = 1, 2  # Event Type ID of the report, PS3.4 J.3.3
_CLOSE_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Report:
    information: Dataset
    requester: Association


class EmbeddedPacs:
    """A PACS that runs between `start()` and `stop()`, or for the length of a `with` block.

    Args:
        directory: holds the files, `<study>/<series>/<instance>.dcm`.
        ae_title: its own; any called AE title is accepted.
        host: the address to listen on.
        port: 0 lets the system choose; `port` says which.
        reports_to: where storage commitment is reported, on an association of its own; without, on the requester's.
    """

    def __init__(
        self,
        directory: Path,
        ae_title: str = "DEMOPACS",
        host: str = "127.0.0.1",
        port: int = 0,
        reports_to: Destination | None = None,
    ) -> None:
        self.archive = Archive(directory)
        self.ae_title = ae_title
        self.host = host
        self.port = port
        self.reports_to = reports_to
        self._server: ThreadedAssociationServer | None = None
        self._reports: queue.SimpleQueue[_Report | None] = queue.SimpleQueue()
        self._reporter: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_FIND, self._on_find),
            (evt.EVT_N_ACTION, self._on_action),
        ]
        server = self._application_entity().start_server((self.host, self.port), block=False, evt_handlers=handlers)
        if server is None or server.socket is None:
            raise OSError("the embedded PACS did not start")
        self._server = server
        self.port = server.socket.getsockname()[1]
        self._reporter = threading.Thread(target=self._send_reports, name="storage-commitment", daemon=True)
        self._reporter.start()
        return self

    def stop(self) -> None:
        """Stop listening, abort what runs; the files stay."""
        if self._server is None or self._reporter is None:
            return
        self._reports.put(None)
        self._reporter.join(_CLOSE_S)
        self._server.ae.shutdown()
        self._server = self._reporter = None

    def push(self, paths: Sequence[Path], host: str, port: int, ae_title: str) -> Iterator[SendOutcome]:
        """Send files on by C-STORE, as an archive forwards a study; an outcome for each as it is known."""
        target = Destination(name=ae_title, ae_title=ae_title, host=host, port=port)
        return send_all([_parcel(path) for path in paths], target, self.ae_title)

    def _application_entity(self) -> AE:
        ae = AE(ae_title=self.ae_title)
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax or "", ALL_TRANSFER_SYNTAXES)
        for sop_class in (VERIFICATION, STUDY_ROOT_FIND, STORAGE_COMMITMENT_PUSH_MODEL):
            ae.add_supported_context(sop_class)
        return ae

    def _on_store(self, event: Event) -> int:
        try:
            self.archive.add(event.encoded_dataset())
        except PermanentError:
            return _CANNOT_UNDERSTAND
        except OSError as error:
            _log.error("an instance was refused: %s", error.strerror)
            return _OUT_OF_RESOURCES
        return _SUCCESS

    def _on_find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        for answer in self.archive.find(event.identifier):
            yield _PENDING, answer

    def _on_action(self, event: Event) -> tuple[int, None]:
        if event.action_type != 1:  # Request Storage Commitment
            return _NO_SUCH_ACTION_TYPE, None
        self._reports.put(_Report(self._committed(event.action_information), event.assoc))
        return _SUCCESS, None

    def _committed(self, request: Dataset) -> Dataset:
        """PS3.4 Table J.3.3-1: what is held, and what is not."""
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        held, missing = [], []
        for item in request.ReferencedSOPSequence:
            copy = Dataset()
            copy.ReferencedSOPClassUID = item.ReferencedSOPClassUID
            copy.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
            if self.archive.holds(item.ReferencedSOPInstanceUID):
                held.append(copy)
            else:
                copy.FailureReason = _NO_SUCH_OBJECT_INSTANCE
                missing.append(copy)
        if held:
            report.ReferencedSOPSequence = held
        if missing:
            report.FailedSOPSequence = missing
        return report

    def _send_reports(self) -> None:
        while (report := self._reports.get()) is not None:
            try:
                self._send_report(report)
            except (NoAssociationError, RuntimeError, ValueError) as error:
                _log.error("a storage commitment could not be reported: %s", error)

    def _send_report(self, report: _Report) -> None:
        if self.reports_to is None:
            _report(report.requester, report.information)
            return
        role = build_role(STORAGE_COMMITMENT_PUSH_MODEL, scp_role=True)
        with associate(
            self.reports_to, self.ae_title, native_contexts(STORAGE_COMMITMENT_PUSH_MODEL), negotiation=[role]
        ) as association:
            _report(association, report.information)


def _report(association: Association, information: Dataset) -> None:
    kind = _FAILURES_EXIST if "FailedSOPSequence" in information else _ALL_COMMITTED
    association.send_n_event_report(information, kind, STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_INSTANCE)


def _parcel(path: Path) -> Parcel:
    meta = read_file_meta_info(path)
    return Parcel(path, str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID))
