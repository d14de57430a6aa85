"""P-DATA-TF PDUs taken apart as their bytes come in, whatever way the sender packed them. No socket, no file, no pynetdicom.

A command set is gathered, for it is small; a dataset is handed on as views of the caller's buffer and never held.

Source: DICOM PS3.8 9.3.5 and Table 9-22 (P-DATA-TF), Annex E (fragments), PS3.7 6.3 (a message is a command set, then maybe a
dataset).
"""

import struct
from typing import Protocol

P_DATA_TF = 0x04
LARGEST_COMMAND_BYTES = 1 << 16
_PDU_HEADER = struct.Struct(">BxI")
_PDV_HEADER = struct.Struct(">IBB")
_COMMAND, _LAST = 0x01, 0x02
_SMALLEST_PDV = 2  # presentation context ID and message control header


class ProtocolError(Exception):
    """What came is no legal sequence of P-DATA-TF PDUs; the association is to be aborted."""


class MessageSink(Protocol):
    """Takes the messages."""

    def command(self, context_id: int, command_set: bytes) -> bool:
        """A whole command set. Whether a dataset follows."""
        ...

    def data(self, context_id: int, fragments: list[memoryview], *, last: bool) -> None:
        """More of the dataset; the views are good until this returns."""
        ...


class PDataStream:
    """The state between two reads: how much is left of PDU and PDV, and which message is under way.

    Args:
        sink: takes the messages.
        largest_pdu_bytes: a PDU that announces more is refused; None for no limit.
    """

    def __init__(self, sink: MessageSink, largest_pdu_bytes: int | None = None) -> None:
        self._sink = sink
        self._largest_pdu_bytes = largest_pdu_bytes
        self._pdu_left = 0
        self._pdv_left = 0
        self._context_id = 0
        self._control = 0
        self._command = bytearray()
        self._gathering = False  # a command set whose last fragment is still to come
        self._data_expected = False

    @property
    def between_pdus(self) -> bool:
        """Whether the next byte begins a PDU."""
        return not self._pdu_left and not self._pdv_left

    @staticmethod
    def is_p_data(first_byte: int) -> bool:
        """Whether the PDU that begins with this byte is for a stream."""
        return first_byte == P_DATA_TF

    def feed(self, received: memoryview) -> int:
        """Take bytes. How many were used: less than all before a PDU of another type, and where a header is not whole.

        Raises:
            ProtocolError: they cannot be what they claim to be.
        """
        position, end = 0, len(received)
        fragments: list[memoryview] = []
        while position < end:
            if not self._pdv_left:
                used = self._headers(received, position, end)
                if not used:
                    break
                position += used
            taken = min(self._pdv_left, end - position)
            if taken and self._control & _COMMAND:
                self._gather(received[position : position + taken])
            elif taken:
                fragments.append(received[position : position + taken])
            position += taken
            self._pdv_left -= taken
            if not self._pdv_left:
                fragments = self._end_of_pdv(fragments)
        if fragments:
            self._sink.data(self._context_id, fragments, last=False)
        return position

    def _headers(self, received: memoryview, position: int, end: int) -> int:
        """Read the header of the next PDV, and of its PDU where that begins too. The bytes used, none if they are not whole."""
        used = 0
        if not self._pdu_left:
            if not self.is_p_data(received[position]) or end - position < _PDU_HEADER.size + _PDV_HEADER.size:
                return 0
            (_, self._pdu_left), used = _PDU_HEADER.unpack_from(received, position), _PDU_HEADER.size
            if self._largest_pdu_bytes is not None and self._pdu_left > self._largest_pdu_bytes:
                raise ProtocolError(
                    f"a PDU of {self._pdu_left} bytes was announced; at most {self._largest_pdu_bytes} are taken"
                )
        elif end - position < _PDV_HEADER.size:
            return 0
        length, self._context_id, self._control = self._checked(*_PDV_HEADER.unpack_from(received, position + used))
        self._pdv_left = length - _SMALLEST_PDV
        self._pdu_left -= length + 4
        return used + _PDV_HEADER.size

    def _checked(self, length: int, context_id: int, control: int) -> tuple[int, int, int]:
        if not _SMALLEST_PDV <= length <= self._pdu_left - 4:
            raise ProtocolError("a PDV does not fit into its PDU")
        is_command = bool(control & _COMMAND)
        if is_command and self._data_expected:
            raise ProtocolError("a command in the middle of a dataset")
        if not is_command and not self._data_expected:
            raise ProtocolError("a dataset without a command")
        if (self._gathering or self._data_expected) and context_id != self._context_id:
            raise ProtocolError("a message changes its presentation context")
        return length, context_id, control

    def _gather(self, fragment: memoryview) -> None:
        if len(self._command) + len(fragment) > LARGEST_COMMAND_BYTES:
            raise ProtocolError(f"a command set of more than {LARGEST_COMMAND_BYTES} bytes")
        self._command += fragment

    def _end_of_pdv(self, fragments: list[memoryview]) -> list[memoryview]:
        """Hand on what is complete; the fragments that still wait."""
        last = bool(self._control & _LAST)
        if self._control & _COMMAND:
            self._gathering = not last
            if last:
                command_set, self._command = bytes(self._command), bytearray()
                self._data_expected = self._sink.command(self._context_id, command_set)
        elif last:
            self._data_expected = False
            self._sink.data(self._context_id, fragments, last=True)
            return []
        return fragments
