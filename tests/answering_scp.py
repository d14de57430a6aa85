"""A Storage SCP that gives the answers a test asks for, over the network: statuses, limits on what is accepted, silence."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dicom_node.model import Destination

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"

Answer = int | Dataset
Answers = Callable[[str], Answer]


@dataclass(slots=True)
class AnsweringScp:
    """A running server, and what it was sent, in order."""

    port: int = 0
    ae_title: str = "ANSWERS"
    received: list[str] = field(default_factory=list)
    datasets: list[bytes] = field(default_factory=list)
    transfer_syntaxes: list[str] = field(default_factory=list)
    transactions: list[str] = field(default_factory=list)
    associations: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def destination(self, name: str = "answers", **changes: object) -> Destination:
        settings: dict[str, object] = {"network_timeout_s": 5.0, "retry_first_s": 0.05, "retry_cap_s": 0.2, **changes}
        return Destination(name=name, ae_title=self.ae_title, host="127.0.0.1", port=self.port, **settings)  # type: ignore[arg-type]

    def wait_for(self, count: int, deadline_s: float = 30.0) -> None:
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.received) >= count, deadline_s):
                raise TimeoutError(f"{len(self.received)} of {count} instances within {deadline_s} s")

    def read(self, number: int = -1) -> Dataset:
        return dcmread(BytesIO(self.datasets[number]))


@contextmanager
def answering_scp(
    answers: Answers = lambda _: 0x0000,
    *,
    sop_class_uids: Sequence[str],
    transfer_syntaxes: Sequence[str] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
    ae_title: str = "ANSWERS",
    port: int = 0,
    required_calling: Sequence[str] = (),
    commitment: Callable[[], int] | None = None,
) -> Iterator[AnsweringScp]:
    """A server for the length of the block.

    Args:
        answers: the status, or a data set with it, for each SOP Instance UID; it may block.
        sop_class_uids: what it accepts, beside Verification.
        transfer_syntaxes: for all of them.
        ae_title: its own.
        port: 0 lets the system choose.
        required_calling: if given, other calling AE titles are rejected.
        commitment: the status of a storage commitment request; the report never comes. Without, it offers none.
    """
    scp = AnsweringScp(ae_title=ae_title)
    ae = AE(ae_title=ae_title)
    ae.require_calling_aet = list(required_calling)
    ae.add_supported_context(VERIFICATION)
    for uid in sop_class_uids:
        ae.add_supported_context(uid, list(transfer_syntaxes))
    if commitment is not None:
        ae.add_supported_context(STORAGE_COMMITMENT)
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=_handlers(scp, answers, commitment))
    assert server is not None
    assert server.socket is not None
    scp.port = server.socket.getsockname()[1]
    try:
        yield scp
    finally:
        server.ae.shutdown()


def _handlers(scp: AnsweringScp, answers: Answers, commitment: Callable[[], int] | None) -> list[evt.EventHandlerType]:
    def on_store(event: Event) -> Answer:
        uid = str(getattr(event.request, "AffectedSOPInstanceUID", ""))
        answer = answers(uid)
        with scp.changed:
            scp.received.append(uid)
            scp.datasets.append(event.encoded_dataset())
            scp.transfer_syntaxes.append(str(event.context.transfer_syntax))
            scp.changed.notify_all()
        return answer

    def on_action(event: Event) -> tuple[int, None]:
        scp.transactions.append(str(event.action_information.TransactionUID))
        return (commitment() if commitment else 0x0110), None

    def on_accepted(event: Event) -> None:
        scp.associations += 1

    return [(evt.EVT_C_STORE, on_store), (evt.EVT_N_ACTION, on_action), (evt.EVT_ACCEPTED, on_accepted)]
