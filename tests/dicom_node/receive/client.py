"""A sender that can be told to misbehave: associations on pynetdicom, C-STORE requests of any content."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

CT = str(CTImageStorage)
VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
UID_ROOT = "1.2.826.0.1.3680043.10.1999."


def request(
    address: tuple[str, int],
    *,
    called: str = "NODE",
    calling: str = "TESTER",
    contexts: Sequence[tuple[str, Sequence[str]]] = (
        (CT, (ExplicitVRLittleEndian,)),
        (VERIFICATION, (ExplicitVRLittleEndian,)),
    ),
    handlers: Sequence[Any] = (),
    ext_neg: Sequence[Any] = (),
) -> Association:
    """Ask for an association; it may have been rejected."""
    entity = AE(calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    proposed = [build_context(uid, list(syntaxes)) for uid, syntaxes in contexts]
    for _ in range(10):
        association = entity.associate(
            *address, contexts=proposed, ae_title=called, evt_handlers=list(handlers), ext_neg=list(ext_neg), max_pdu=131072
        )
        if not association.is_aborted:  # pynetdicom's requestor takes a rejection that comes at once for a lost connection
            break
    return association


@contextmanager
def associated(address: tuple[str, int], **options: Any) -> Iterator[Association]:
    association = request(address, **options)
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def store(
    association: Association,
    dataset: bytes,
    sop_instance_uid: str | None = UID_ROOT + "1",
    sop_class_uid: str | None = CT,
    context_id: int | None = None,
) -> C_STORE:
    """One C-STORE request as told, sound or not; the response."""
    message = C_STORE()
    message.MessageID = 7
    message.AffectedSOPClassUID = sop_class_uid
    message.AffectedSOPInstanceUID = sop_instance_uid
    message.Priority = 2
    message.DataSet = BytesIO(dataset) if dataset else None
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        pass
    association.dimse.send_msg(message, context_id or association.accepted_contexts[0].context_id or 1)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert isinstance(response, C_STORE)
    return response


def rejection_of(association: Association) -> tuple[int, int, int]:
    primitive: Any = association.acceptor.primitive
    return primitive.result, primitive.result_source, primitive.diagnostic


def reported(association: Association) -> list[Any]:
    """Collects the events of an association."""
    seen: list[Any] = []
    association.bind(evt.EVT_ABORTED, seen.append)
    return seen


def report(address: tuple[str, int], information: Dataset, event_type: int = 1, *, with_role: bool = True) -> int:
    """N-EVENT-REPORT from a PACS that opens the association, and asks for the role of the SCP."""
    contexts = [(COMMITMENT, (ImplicitVRLittleEndian,))]
    role = [build_role(COMMITMENT, scu_role=False, scp_role=True)] if with_role else []
    with associated(address, contexts=contexts, ext_neg=role) as association:
        if with_role:
            assert association.accepted_contexts[0].as_scp
        else:
            association.accepted_contexts[0]._as_scp = True
        status, _ = association.send_n_event_report(information, event_type, COMMITMENT, COMMITMENT_INSTANCE)
        return int(status.Status)


def commitment_information() -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, UID_ROOT + "1"
    information = Dataset()
    information.TransactionUID = UID_ROOT + "77"
    information.ReferencedSOPSequence = [item]
    return information
