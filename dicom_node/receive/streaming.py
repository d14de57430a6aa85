"""The bulk path beneath pynetdicom: everything of pynetdicom that the node replaces stands in this module.

pynetdicom gives an association two threads that look for work every millisecond, gathers a message in memory and decodes its
command into a dataset. Here one thread drives pynetdicom's own state machine when there is something to do, and P-DATA goes
from the socket's buffer to the file:

* `DrivenProvider` replaces the thread of the upper layer (`start`, `is_alive`, `stop_dul`) by calls that wait for what they
  need (`receive_pdu`, `wait_for_user`). Association negotiation, release, abort and all timers stay pynetdicom's.
* With an association established (Sta6) P-DATA-TF PDUs are taken apart by `PDataStream`; C-STORE is answered here, every other
  message goes to pynetdicom's DIMSE provider, every other PDU to pynetdicom's decoder.
* `StreamingAssociation` runs pynetdicom's own reactor; `_Checkpoint` makes it wait for events instead of sleeping.

`[receive] streaming = false` takes `ReceiverAssociation` instead. tests/dicom_node/receive/test_pynetdicom_surface.py fails
when a pynetdicom changes what is replaced or relied upon. Source: DICOM PS3.8 9.2 (state machine), 9.3.5, Annex E (P-DATA-TF).
"""

import os
import queue
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import structlog
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import P_DATA

from dicom_node.receive.association import ReceiverAssociation, Services
from dicom_node.receive.command import read_store_command
from dicom_node.receive.pdata import PDataStream, ProtocolError
from dicom_node.receive.reception import Reception, TooSlowError
from dicom_node.receive.transport import LARGEST_NEGOTIATION_BYTES, ReceiverSocket

if TYPE_CHECKING:
    from pynetdicom.pdu_primitives import _PDUPrimitiveType

log = structlog.get_logger()

BUFFER_BYTES = 1 << 18
LARGEST_OTHER_MESSAGE_BYTES = 1 << 24  # of a dataset that is not stored, such as a storage commitment report
LONGEST_WAIT_S = 5.0
LONGEST_CLOSE_S = 1.0
DISCARDED_AT_ONCE_BYTES = 1 << 16
_ESTABLISHED, _AWAITING_CLOSE, _IDLE = "Sta6", "Sta13", "Sta1"
_CONNECTION_CLOSED, _ARTIM_EXPIRED, _INVALID_PDU = "Evt17", "Evt18", "Evt19"


class DrivenProvider(DULServiceProvider):
    """pynetdicom's upper layer without a thread: whoever waits for it drives it.

    Args:
        association: its association.
        stream: takes the P-DATA-TF PDUs.
    """

    def __init__(self, association: "StreamingAssociation", stream: PDataStream) -> None:
        super().__init__(association)
        self._stream = stream
        self._buffer: memoryview | None = None  # made when data comes: an idle association has none
        self._held = 0  # bytes at its begin that wait for the rest of a header
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._driver: int | None = None
        self._ended = threading.Event()
        self._close_at: float | None = None

    def start(self) -> None:
        """Begin; the calling thread drives."""
        self._driver = threading.get_ident()
        self._idle_timer.start()
        self.assoc._dul_ready.set()  # noqa: SLF001

    def is_alive(self) -> bool:
        return self._driver is not None and not self._kill_thread

    def send_pdu(self, primitive: "_PDUPrimitiveType") -> None:
        """Queue a primitive; from another thread, wake the driver."""
        super().send_pdu(primitive)
        if threading.get_ident() != self._driver:
            os.eventfd_write(self._wake, 1)

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002  # pynetdicom's
        """The next primitive for the user; driven until there is one, if it is to be waited for."""
        if wait and threading.get_ident() == self._driver:
            self._drive(lambda: not self.to_user_queue.empty(), timeout)
        return super().receive_pdu(wait=False)

    def stop_dul(self) -> bool:
        """Say what is still to be said, and wait until the connection is closed; the ARTIM timer bounds that."""
        if threading.get_ident() == self._driver:
            self._drive(lambda: self.state_machine.current_state == _IDLE, self.artim_timer.timeout)
            self._kill_thread = True
        else:
            self._ended.wait(LONGEST_WAIT_S)
        return True

    def wait_for_user(self) -> None:
        """Drive until the association has something to do: a message, a release, an abort, an idle timeout."""
        if threading.get_ident() == self._driver:
            self._drive(self._has_work_for_user)

    @property
    def silent_s(self) -> float:
        """How long nothing has come."""
        return (self._idle_timer.timeout or 0.0) - self._idle_timer.remaining

    def close(self) -> None:
        """The association is over."""
        self._ended.set()
        os.close(self._wake)

    def _has_work_for_user(self) -> bool:
        return (
            not self.assoc.dimse.msg_queue.empty()
            or not self.to_user_queue.empty()
            or self.assoc._kill  # noqa: SLF001
            or self.idle_timer_expired()
        )

    def _drive(self, done: Callable[[], bool], timeout_s: float | None = None) -> None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._kill_thread and not done():
            left_s = LONGEST_WAIT_S if deadline is None else deadline - time.monotonic()
            if left_s < 0:
                return
            idle_s = self._idle_timer.remaining if self.state_machine.current_state == _ESTABLISHED else LONGEST_WAIT_S
            try:
                self._step(max(0.0, min(LONGEST_WAIT_S, left_s, idle_s, self.artim_timer.remaining)))
            except Exception as error:  # noqa: BLE001  # whatever breaks in here ends this association, and no other
                self._fail(error)

    def _step(self, wait_s: float) -> None:
        """One turn of pynetdicom's reactor: a timer, a primitive to send, or input; then the event that it made."""
        if self.artim_timer.expired:
            self.event_queue.put(_ARTIM_EXPIRED)
        elif self.event_queue.empty() and not self._process_recv_primitive():
            self._await_input(wait_s)
        try:
            event = self.event_queue.get(block=False)
        except queue.Empty:
            return
        self.state_machine.do_action(event)

    def _fail(self, error: Exception) -> None:
        """As pynetdicom does: past the state machine, which may be in disorder."""
        log.error("association aborted", exc_info=error)
        abort = A_ABORT_RQ()
        abort.source, abort.reason_diagnostic = 0x02, 0x00
        if self._receiver_socket.socket is not None:
            self._receiver_socket.send(abort.encode())
        self.assoc.is_aborted, self.assoc.is_established = True, False
        self.assoc._kill = self._kill_thread = True  # noqa: SLF001

    @property
    def _receiver_socket(self) -> ReceiverSocket:
        return cast("ReceiverSocket", self.socket)

    def _await_input(self, wait_s: float) -> None:
        state = self.state_machine.current_state
        if state == _AWAITING_CLOSE:
            self._await_close(wait_s)
        elif state == _ESTABLISHED:
            self._read_p_data(wait_s)
        elif self._receiver_socket.pushed_back or self._wait_readable(wait_s):
            self._read_pdu_data()
            self._idle_timer.restart()

    def _await_close(self, wait_s: float) -> None:
        """Drop what still comes until the peer closes: a connection closed with data unread is reset, and an abort is lost."""
        self._close_at = self._close_at or time.monotonic() + LONGEST_CLOSE_S
        count = self._receive(memoryview(bytearray(DISCARDED_AT_ONCE_BYTES)), min(wait_s, LONGEST_CLOSE_S))
        if count == 0 or time.monotonic() > self._close_at:
            self._receiver_socket.close()

    def _wait_readable(self, wait_s: float) -> bool:
        """Whether the connection has data, or has ended, before the time is over or another thread has something to send."""
        connection = self._receiver_socket.socket
        if connection is None:
            self.event_queue.put(_CONNECTION_CLOSED)
            return False
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(wait_s * 1000)}
        if self._wake in ready:
            os.eventfd_read(self._wake)
        return connection.fileno() in ready

    def _read_p_data(self, wait_s: float) -> None:
        """Read once, as much as there is; hand P-DATA to the stream, and anything else to pynetdicom."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(BUFFER_BYTES))
        count = self._receive(self._buffer[self._held :], wait_s)
        if count is None:
            return
        self._idle_timer.restart()
        end = self._held + count
        if not count:
            self.event_queue.put(_CONNECTION_CLOSED)
            return
        try:
            used = self._stream.feed(self._buffer[:end])
        except ProtocolError as error:
            log.warning("P-DATA refused, association aborted", reason=str(error), peer=self.assoc.requestor.address)
            self.event_queue.put(_INVALID_PDU)
            return
        except TooSlowError:
            log.warning("an instance took too long to arrive, association aborted", peer=self.assoc.requestor.address)
            self.event_queue.put(_INVALID_PDU)
            return
        self._held = end - used
        if self._held and self._stream.between_pdus and not PDataStream.is_p_data(self._buffer[used]):
            self._receiver_socket.push_back(bytes(self._buffer[used:end]))
            self._held = 0
            self._read_pdu_data()
        elif self._held:
            self._buffer[: self._held] = bytes(self._buffer[used:end])

    def _receive(self, into: memoryview, wait_s: float) -> int | None:
        """Bytes read, 0 at the end of the connection; None if there was nothing in time."""
        source = self._receiver_socket
        try:
            count = source.read_some(into)
            if count is None:
                source.acknowledge_at_once()
                count = source.read_some(into) if self._wait_readable(wait_s) else None
        except OSError:
            return 0
        return count


class StreamingAssociation(ReceiverAssociation):
    """An association whose C-STORE data goes from the socket to the store as it comes in."""

    def __init__(self, services: Services, *, is_one_too_many: bool = False) -> None:
        super().__init__(services, is_one_too_many=is_one_too_many)
        largest = services.door.settings.maximum_pdu_bytes
        stream = PDataStream(self, max(largest, LARGEST_NEGOTIATION_BYTES) if largest else None)
        self._provider = DrivenProvider(self, stream)
        self.dul = self._provider
        self.acse_timeout, self.network_timeout = self.ae.acse_timeout, self.ae.network_timeout  # told to the new provider
        self._reactor_checkpoint = _Checkpoint(self._provider)
        self._reactor_checkpoint.set()
        self._reception: Reception | None = None
        self._other_message_bytes = 0

    @property
    def silent_s(self) -> float:
        return self._provider.silent_s

    def release_resources(self) -> None:
        if self._reception is not None:
            log.warning(
                "an instance did not arrive whole", calling_ae_title=self.requestor.ae_title, peer=self.requestor.address
            )
            self._reception.abandon()
        self._provider.close()

    def command(self, context_id: int, command_set: bytes) -> bool:
        """A whole command set: C-STORE is served here, anything else by pynetdicom. Whether a dataset follows."""
        command = read_store_command(command_set)
        if command is None:
            self._other_message_bytes = 0
            self._pass_on(context_id, 0x03, command_set)
            return self.dimse.message is not None
        context = self._accepted_cx.get(context_id)
        if context is None:  # PS3.8 9.3.1: such a PDV cannot be answered
            raise ProtocolError("C-STORE on a presentation context that was not accepted")
        self._reception = self.begin_store(command, context)
        if not command.has_dataset:
            self._answer(context_id, self._reception)
        return command.has_dataset

    def data(self, context_id: int, fragments: list[memoryview], *, last: bool) -> None:
        """More of the dataset."""
        reception = self._reception
        if reception is None:
            self._pass_on_data(context_id, fragments, last=last)
            return
        if fragments:
            reception.write(*fragments)
        if last:
            self._answer(context_id, reception)

    def _answer(self, context_id: int, reception: Reception) -> None:
        status, comment = self.end_store(reception)
        self._reception = None
        self.respond(reception.command, context_id, status, comment)

    def _pass_on_data(self, context_id: int, fragments: list[memoryview], *, last: bool) -> None:
        content = b"".join(fragments)
        self._other_message_bytes += len(content)
        if self._other_message_bytes > LARGEST_OTHER_MESSAGE_BYTES:
            raise ProtocolError(f"a message of more than {LARGEST_OTHER_MESSAGE_BYTES} bytes that is no C-STORE")
        self._pass_on(context_id, 0x02 if last else 0x00, content)

    def _pass_on(self, context_id: int, control: int, content: bytes) -> None:
        """Give a fragment to pynetdicom's DIMSE provider, as its state machine does (PS3.8 DT-2)."""
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[context_id, bytes([control]) + content]]  # type: ignore[list-item]  # it wants lists
        try:
            self.dimse.receive_primitive(primitive)
        except Exception as error:  # pydicom and pynetdicom raise many kinds on commands that are none
            raise ProtocolError(f"a message that cannot be decoded ({type(error).__name__})") from error


class _Checkpoint(threading.Event):
    """Where pynetdicom's reactor pauses before it looks for work: it stays here until there is some."""

    def __init__(self, provider: DrivenProvider) -> None:
        super().__init__()
        self._provider = provider

    def wait(self, timeout: float | None = None) -> bool:
        self._provider.wait_for_user()
        return super().wait(timeout)
