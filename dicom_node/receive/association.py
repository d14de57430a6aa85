"""One association, accepted: who may open it, what is negotiated, and how C-STORE is answered.

pynetdicom carries the upper layer, C-ECHO and N-EVENT-REPORT. C-STORE goes past its service class to a `Reception`: there, SOP
classes that pynetdicom does not know are storage too, and a request that lacks something is answered, not dropped. Here a
dataset has wholly arrived before it is written; `streaming` writes it as it comes in.
"""

import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import structlog
from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext

from dicom_node.errors import NodeError
from dicom_node.receive.access import AssociationRequest
from dicom_node.receive.command import StoreCommand, store_response
from dicom_node.receive.commitment import OnCommitment, ReportRefused, read_report
from dicom_node.receive.contexts import STORAGE_COMMITMENT_PUSH_MODEL, is_stored, supported
from dicom_node.receive.door import Door
from dicom_node.receive.part10 import StoreRequest
from dicom_node.receive.reception import Reception, TooSlowError
from dicom_node.receive.statuses import Status
from dicom_node.receive.storing import StoreHandler, loggable_uid

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.dimse_primitives import DimseServiceType
    from pynetdicom.pdu_primitives import A_ASSOCIATE

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Services:
    """What every association of a receiver uses."""

    entity: "ApplicationEntity"
    door: Door
    store: StoreHandler
    on_commitment: OnCommitment | None = None


class ReceiverAssociation(Association):
    """An association that a peer opened.

    Args:
        services: what it uses.
        is_one_too_many: reject it, transiently.
    """

    def __init__(self, services: Services, *, is_one_too_many: bool = False) -> None:
        super().__init__(services.entity, MODE_ACCEPTOR)
        self.acse = _Admission(self, services.door)
        self.is_one_too_many = is_one_too_many
        self.when_gone: Callable[[], None] = lambda: None
        self._services = services
        self._stored_count = 0
        self._refused_count = 0
        # pynetdicom finds its acceptors, for their limit, among the threads of this name; the limit here is the door's.
        self.name = f"association-{self.name}"
        self.dul.daemon = True  # no thread of a peer holds up the end of the process
        self.bind(evt.EVT_CONN_CLOSE, self._gone)
        self.bind(evt.EVT_N_EVENT_REPORT, self._report)

    def _bind_defaults(self) -> None:
        """No handlers that log every PDU: they cost a third of the throughput."""
        for event in evt._INTERVENTION_EVENTS:  # noqa: SLF001
            self.bind(event, evt.get_default_handler(event))

    def run_reactor(self) -> None:
        """The life of the association, from connection to close."""
        self._services.door.connect(self)
        try:
            super().run_reactor()
        finally:
            if self.dul.socket is not None:
                self.dul.socket.close()
            self.release_resources()
            self._services.door.leave(self)
            self.when_gone()
            if self.is_released or self.is_aborted:
                self._log_end()

    @property
    def silent_s(self) -> float:
        """How long nothing has come; 0 where that is not known."""
        return 0.0

    def release_resources(self) -> None:
        """Let go of what an end in the middle of a message leaves."""

    def interrupt(self) -> None:
        """Cut the connection from another thread; the association ends as if the peer had gone."""
        connection = self.dul.socket.socket if self.dul.socket is not None else None
        if connection is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)

    def begin_store(self, command: StoreCommand, context: PresentationContext) -> Reception:
        """A C-STORE-RQ came on an accepted presentation context."""
        association_request = cast("A_ASSOCIATE", self.requestor.primitive)

        def request(command: StoreCommand) -> StoreRequest:
            return StoreRequest(
                sop_class_uid=command.sop_class_uid,
                sop_instance_uid=command.sop_instance_uid,
                transfer_syntax_uid=str(context.transfer_syntax[0]),
                calling_ae_title=str(association_request.calling_ae_title).strip(),
                called_ae_title=str(association_request.called_ae_title).strip(),
                peer_host=self.requestor.address or "",
                peer_port=self.requestor.port or 0,
                local_host=self.acceptor.address or "",
                local_port=self.acceptor.port or 0,
            )

        services = self._services
        return Reception(command, str(context.abstract_syntax), request, services.store, services.door.settings)

    def end_store(self, reception: Reception) -> tuple[Status, str]:
        """Its dataset has come: the status to answer with, and a word about a failure."""
        status, comment = reception.end()
        if status == Status.SUCCESS:
            self._stored_count += 1
        else:
            self._refused_count += 1
        return status, comment

    def respond(self, command: StoreCommand, context_id: int, status: Status, comment: str) -> None:
        """Answer a C-STORE-RQ, in PDUs as short as the peer wants them."""
        if self.dul.socket is not None:
            largest = self.requestor.maximum_length or 0
            self.dul.socket.send(store_response(command, context_id, status, comment, largest))

    def store_context(self, context_id: int | None) -> PresentationContext | None:
        """The accepted presentation context of a C-STORE-RQ; without one the association is aborted."""
        context = self._accepted_cx.get(context_id or 0)
        if context is None:  # PS3.8 9.3.1: such a PDV cannot be answered
            log.warning("C-STORE on a presentation context that was not accepted", calling_ae_title=self.requestor.ae_title)
            self.abort()
        return context

    def _gone(self, _event: Event | None = None) -> None:
        """A connection that ends before it becomes an association must not be waited for until the timeout."""
        if self.requestor.primitive is None:
            self.dul.to_user_queue.put(cast("A_ASSOCIATE", None))

    def _log_end(self) -> None:
        said = log.info if self._stored_count or self._refused_count or self.is_aborted else log.debug
        said(
            "association ended",
            calling_ae_title=self.requestor.ae_title,
            peer=self.requestor.address,
            released=self.is_released,
            stored=self._stored_count,
            refused=self._refused_count,
        )

    def _serve_request(self, msg: "DimseServiceType", context_id: int) -> None:
        if not isinstance(msg, C_STORE) or msg.MessageIDBeingRespondedTo is not None or msg.MessageID is None:
            super()._serve_request(msg, context_id)
        elif (context := self.store_context(context_id)) is not None:
            self._store_whole(msg, context, context_id)

    def _store_whole(self, message: C_STORE, context: PresentationContext, context_id: int) -> None:
        """Store a dataset that pynetdicom has gathered, and answer."""
        dataset = message.DataSet.getbuffer() if message.DataSet else memoryview(b"")
        command = StoreCommand(
            cast("int", message.MessageID),
            str(message.AffectedSOPClassUID or ""),
            str(message.AffectedSOPInstanceUID or ""),
            has_dataset=bool(dataset),
        )
        reception = self.begin_store(command, context)
        try:
            reception.write(dataset)
            status, comment = self.end_store(reception)
        except TooSlowError:
            log.warning("an instance took too long to arrive", calling_ae_title=self.requestor.ae_title)
            self.abort()
            return
        finally:
            reception.abandon()
        self.respond(command, context_id, status, comment)

    def _report(self, event: Event) -> tuple[int, None]:
        """N-EVENT-REPORT. What cannot even be decoded raises, and pynetdicom answers 0110H."""
        on_commitment = self._services.on_commitment
        if on_commitment is None or event.request.AffectedSOPClassUID != STORAGE_COMMITMENT_PUSH_MODEL:
            return Status.NO_SUCH_SOP_CLASS, None
        try:
            report = read_report(event.event_type, event.event_information)
            on_commitment(report)
        except ReportRefused as refused:
            log.warning("storage commitment report refused", status=f"{refused.status:04X}H")
            return refused.status, None
        except NodeError as error:
            log.warning("storage commitment report not kept; the PACS is told so and may report again", error=str(error))
            return Status.PROCESSING_FAILURE, None
        return Status.SUCCESS, None


class _Admission(ACSE):
    """Association control with the node's own decision in front: what is refused returns here, and nothing is negotiated."""

    def __init__(self, association: ReceiverAssociation, door: Door) -> None:
        super().__init__(association)
        self._association = association
        self._door = door

    def _negotiate_as_acceptor(self) -> None:
        primitive = cast("A_ASSOCIATE", self.requestor.primitive)
        proposed = primitive.presentation_context_definition_list
        request = AssociationRequest(
            str(primitive.calling_ae_title),
            str(primitive.called_ae_title),
            self.requestor.address or "",
            wants_to_store=any(is_stored(str(context.abstract_syntax), self._door.settings) for context in proposed),
        )
        refused = self._door.admit(self._association, request)
        said = {"calling_ae_title": request.calling_ae_title, "peer": request.peer_host}
        if refused is not None:
            log.warning("association rejected", reason=refused.name, called_ae_title=request.called_ae_title, **said)
            self.send_reject(*refused.value)
            evt.trigger(self.assoc, evt.EVT_REJECTED, {})
            self.assoc.kill()
            return
        if not all(context.abstract_syntax and context.transfer_syntax for context in proposed):
            # PS3.8 9.3.2.2 wants both; pynetdicom breaks where one is missing
            log.warning("association aborted: a presentation context without an abstract or a transfer syntax", **said)
            self.send_ap_abort(0x06)
            self.assoc.kill()
            return
        roles = {str(uid): (item.scu_role, item.scp_role) for uid, item in self.requestor.role_selection.items()}
        self.acceptor.supported_contexts = supported(proposed, roles, self._door.settings)
        super()._negotiate_as_acceptor()
        refused_uids = sorted({str(context.abstract_syntax) for context in self.assoc.rejected_contexts})
        if refused_uids:
            log.info("presentation contexts refused", abstract_syntaxes=[loggable_uid(uid) for uid in refused_uids], **said)
        log.debug("association accepted", contexts=len(self.assoc.accepted_contexts), proposed=len(proposed), **said)
