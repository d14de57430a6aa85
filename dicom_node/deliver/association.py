"""Associations that the node opens: bounded in time, without Nagle's delay, and always closed.

Source: DICOM PS3.8 (upper layer), PS3.7 D.3 (negotiation).
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, product
from typing import Any

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from dicom_node import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.errors import TransientError
from dicom_node.model import Destination

# Files go out as they lie on disk, byte for byte; identifiers of patients are not logged.
_config.STORE_SEND_CHUNKED_DATASET = True
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False

VERIFICATION = UID("1.2.840.10008.1.1")
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
STORAGE_COMMITMENT_PUSH_MODEL = UID("1.2.840.10008.1.20.1")
STORAGE_COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1.1")  # well-known, PS3.4 J.3.5
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
MAX_CONTEXTS = 128  # PS3.8 9.3.2.2: odd identifiers from 1 to 255
_JOIN_S = 5.0


class NoAssociationError(TransientError):
    """The destination is away, or refuses us; the message says which and what to do.

    Attributes:
        rejected: it answered and said no; a person has to set something right there.
    """

    def __init__(self, message: str, *, rejected: bool = False) -> None:
        super().__init__(message)
        self.rejected = rejected


class NothingAcceptedError(NoAssociationError):
    """The destination accepted the association, but none of its presentation contexts."""


def contexts_for(pairs: Iterable[tuple[str, str]]) -> list[PresentationContext]:
    """One context for each pair of abstract and transfer syntax: the choice made in one says nothing about another."""
    return [build_context(abstract, transfer) for abstract, transfer in islice(dict.fromkeys(pairs), MAX_CONTEXTS)]


def native_contexts(*abstract_syntaxes: str) -> list[PresentationContext]:
    """Contexts for services whose data sets any peer reads: Explicit and Implicit VR Little Endian."""
    return contexts_for(product(abstract_syntaxes, NATIVE))


@contextmanager
def associate(
    destination: Destination,
    local_ae_title: str,
    contexts: Sequence[PresentationContext],
    handlers: Sequence[tuple[Any, ...]] = (),
    negotiation: Sequence[Any] = (),
) -> Iterator[Association]:
    """An established association for the length of the block; released at its end, aborted if the block raises.

    Args:
        destination: whom to call, and how long to wait for each answer.
        local_ae_title: who calls.
        contexts: what is offered.
        handlers: (event, function) of pynetdicom for what the destination may ask on this association.
        negotiation: further items, such as roles.

    Raises:
        NoAssociationError: no connection, a rejection, an abort, or no answer in time.
        NothingAcceptedError: no presentation context was accepted.
    """
    ae = AE(ae_title=local_ae_title)
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    timeout_s = destination.network_timeout_s
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = timeout_s
    ae.network_timeout = None  # every wait has a limit of its own
    association = Association(ae, "requestor")
    connection = _connection(association, timeout_s)
    try:
        _address(association, destination, contexts)
        for handler in handlers:
            association.bind(*handler)
        for item in negotiation:
            association.requestor.add_negotiation_item(item)
        association.request()
        if not association.is_established:
            raise _refusal(association, destination)
        association.start()
        try:
            yield association
        except RuntimeError as error:  # what pynetdicom raises when asked to send on an association that has ended
            if association.is_established:
                raise
            raise NoAssociationError(f"{destination.name} ended the association") from error
        association.release()
    finally:
        _close(association, connection)


def _connection(association: Association, timeout_s: float) -> socket.socket:
    """Give the association a socket of ours: pynetdicom 3.0.4 leaves that of a refused connection open."""
    wrapped = AssociationSocket(association, address=AddressInformation("", 0))
    association.set_socket(wrapped)
    connection = wrapped.socket
    if connection is None:
        raise NoAssociationError("no socket could be made")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    seconds, rest = divmod(timeout_s, 1.0)
    # A peer that stops reading must not hold a sender for ever.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), int(rest * 1e6)))
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeout_s * 1000))
    return connection


def _address(association: Association, destination: Destination, contexts: Sequence[PresentationContext]) -> None:
    try:
        address = AddressInformation(destination.host, destination.port)
    except OSError as error:
        raise NoAssociationError(f"{destination.name}: the host {destination.host} is unknown ({error})") from error
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    association.acceptor.ae_title = destination.ae_title
    association.acceptor.address_info = address
    ae = association.ae
    association.requestor.address_info = AddressInformation("", 0)
    association.requestor.ae_title = ae.ae_title
    association.requestor.maximum_length = ae.maximum_pdu_size
    association.requestor.implementation_class_uid = ae.implementation_class_uid
    association.requestor.implementation_version_name = ae.implementation_version_name
    association.requestor.requested_contexts = list(contexts)


def _refusal(association: Association, destination: Destination) -> NoAssociationError:
    where = f"{destination.name} ({destination.ae_title} at {destination.host}:{destination.port})"
    answer = association.acceptor.primitive
    if answer is not None and answer.result in {1, 2}:  # permanent, transient: PS3.8 9.3.4
        return NoAssociationError(
            f"{where} rejected the association: {answer.result_str}, {answer.reason_str}; "
            f"the AE titles and this node's address must be known there",
            rejected=True,
        )
    if answer is not None and answer.result == 0 and not association.accepted_contexts:
        return NothingAcceptedError(f"{where} accepts none of the offered presentation contexts", rejected=True)
    return NoAssociationError(f"{where} does not answer, or aborted the association")


def _close(association: Association, connection: socket.socket) -> None:
    if association.is_established:
        association.abort()
    association.dul.kill_dul()
    for thread in (association.dul, association):
        if thread.is_alive():
            thread.join(_JOIN_S)
    connection.close()
