"""One association, accepted: who may open it, what is negotiated, and how C-STORE is answered.

pynetdicom carries the upper layer, C-ECHO and N-EVENT-REPORT. C-STORE goes past its service class to the `StoreHandler`: there,
SOP classes that pynetdicom does not know are storage too, and a request that lacks something is answered, not dropped.
"""

import contextlib
import socket
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
from dicom_node.receive.commitment import OnCommitment, ReportRefused, read_report
from dicom_node.receive.contexts import STORAGE_COMMITMENT_PUSH_MODEL, supported
from dicom_node.receive.door import Door
from dicom_node.receive.part10 import StoreRequest
from dicom_node.receive.statuses import Status, StoreRefused
from dicom_node.receive.storing import StoreHandler

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.dimse_primitives import DimseServiceType
    from pynetdicom.pdu_primitives import A_ASSOCIATE

log = structlog.get_logger()
_ERROR_COMMENT_LENGTH = 64  # VR LO


class ReceiverAssociation(Association):
    """An association that a peer opened."""

    def __init__(self, ae: "ApplicationEntity", door: Door, store: StoreHandler, on_commitment: OnCommitment | None) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self.acse = _Admission(self, door)
        self._door = door
        self._store = store
        self._on_commitment = on_commitment
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
        self._door.connect(self)
        try:
            super().run_reactor()
        finally:
            if self.dul.socket is not None:
                self.dul.socket.close()
            self._door.leave(self)
            if self.is_released or self.is_aborted:
                self._log_end()

    def interrupt(self) -> None:
        """Cut the connection from another thread; the association ends as if the peer had gone."""
        connection = self.dul.socket.socket if self.dul.socket is not None else None
        if connection is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)

    def _gone(self, _event: Event | None = None) -> None:
        """A connection that ends before it becomes an association must not be waited for until the timeout."""
        if self.requestor.primitive is None:
            self.dul.to_user_queue.put(cast("A_ASSOCIATE", None))

    def _log_end(self) -> None:
        said = log.info if self._stored_count or self._refused_count else log.debug
        said(
            "association ended",
            calling_ae_title=self.requestor.ae_title,
            released=self.is_released,
            stored=self._stored_count,
            refused=self._refused_count,
        )

    def _serve_request(self, msg: "DimseServiceType", context_id: int) -> None:
        if not isinstance(msg, C_STORE) or msg.MessageIDBeingRespondedTo is not None or msg.MessageID is None:
            super()._serve_request(msg, context_id)
            return
        context = self._accepted_cx.get(context_id)
        if context is None:  # PS3.8 9.3.1: such a PDV cannot be answered
            log.warning("C-STORE on a presentation context that was not accepted", calling_ae_title=self.requestor.ae_title)
            self.abort()
            return
        self._respond(msg, context_id, *self._outcome(msg, context))

    def _outcome(self, request: C_STORE, context: PresentationContext) -> tuple[Status, str]:
        """Store the instance; the status, and a word about a failure."""
        try:
            self._keep(request, context)
        except StoreRefused as refused:
            self._refused_count += 1
            log.warning(
                "C-STORE refused",
                sop_instance_uid=request.AffectedSOPInstanceUID,
                status=f"{refused.status:04X}H",
                reason=refused.reason,
            )
            return refused.status, refused.reason
        except Exception:  # the outcome of receiving is settled here: the sender must hear that the instance is not kept
            self._refused_count += 1
            log.exception("C-STORE failed", sop_instance_uid=request.AffectedSOPInstanceUID)
            return Status.PROCESSING_FAILURE, "internal error"
        self._stored_count += 1
        return Status.SUCCESS, ""

    def _keep(self, request: C_STORE, context: PresentationContext) -> None:
        if request.AffectedSOPClassUID != context.abstract_syntax:
            raise StoreRefused(Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, "SOP class is not that of the presentation context")
        if not request.DataSet or not request.DataSet.getbuffer():
            raise StoreRefused(Status.CANNOT_UNDERSTAND, "no dataset")
        arrival = self._store.begin(self._store_request(request, context))
        try:
            arrival.write(request.DataSet.getbuffer())
            arrival.commit()
        finally:
            arrival.discard()

    def _store_request(self, request: C_STORE, context: PresentationContext) -> StoreRequest:
        association_request = cast("A_ASSOCIATE", self.requestor.primitive)
        return StoreRequest(
            sop_class_uid=str(request.AffectedSOPClassUID or ""),
            sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
            transfer_syntax_uid=str(context.transfer_syntax[0]),
            calling_ae_title=str(association_request.calling_ae_title).strip(),
            called_ae_title=str(association_request.called_ae_title).strip(),
            peer_host=self.requestor.address or "",
            peer_port=self.requestor.port or 0,
            local_host=self.acceptor.address or "",
            local_port=self.acceptor.port or 0,
        )

    def _respond(self, request: C_STORE, context_id: int, status: Status, comment: str) -> None:
        response = C_STORE()
        response.MessageIDBeingRespondedTo = request.MessageID
        response.AffectedSOPClassUID = request.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
        response.Status = int(status)
        if comment:
            response.ErrorComment = comment[:_ERROR_COMMENT_LENGTH]  # type: ignore[assignment]
        self.dimse.send_msg(response, context_id)

    def _report(self, event: Event) -> tuple[int, None]:
        """N-EVENT-REPORT. What cannot even be decoded raises, and pynetdicom answers 0110H."""
        if self._on_commitment is None or event.request.AffectedSOPClassUID != STORAGE_COMMITMENT_PUSH_MODEL:
            return Status.NO_SUCH_SOP_CLASS, None
        try:
            report = read_report(event.event_type, event.event_information)
            self._on_commitment(report)
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
        request = AssociationRequest(
            str(primitive.calling_ae_title), str(primitive.called_ae_title), self.requestor.address or ""
        )
        refused = self._door.admit(self._association, request)
        said = {"calling_ae_title": request.calling_ae_title, "peer": request.peer_host}
        if refused is not None:
            log.warning("association rejected", reason=refused.name, called_ae_title=request.called_ae_title, **said)
            self.send_reject(*refused.value)
            evt.trigger(self.assoc, evt.EVT_REJECTED, {})
            self.assoc.kill()
            return
        roles = {str(uid): (item.scu_role, item.scp_role) for uid, item in self.requestor.role_selection.items()}
        proposed = primitive.presentation_context_definition_list
        self.acceptor.supported_contexts = supported(proposed, roles, self._door.settings)
        super()._negotiate_as_acceptor()
        log.debug("association accepted", contexts=len(self.assoc.accepted_contexts), proposed=len(proposed), **said)
