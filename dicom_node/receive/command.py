"""The C-STORE messages of DIMSE: the request is read and the response written without building datasets.

Source: DICOM PS3.7 6.3.1 (command set structure: Implicit VR Little Endian), 9.3.1 (C-STORE-RQ, C-STORE-RSP), PS3.8 9.3.5
(P-DATA-TF), Annex E.2 (message control header).
"""

import struct
from dataclasses import dataclass

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
NO_DATASET = 0x0101
P_DATA_TF = 0x04
COMMAND_FRAGMENT, LAST_COMMAND_FRAGMENT = 0x01, 0x03
_PDV_HEADER_BYTES = 6
_ERROR_COMMENT_LENGTH = 64  # VR LO

AFFECTED_SOP_CLASS_UID = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
COMMAND_DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE_UID = 0x1000

_ELEMENT = struct.Struct("<HHI")
_US = struct.Struct("<H")
_PDU_AND_PDV = struct.Struct(">BBIIBB")


@dataclass(frozen=True, slots=True)
class StoreCommand:
    """A C-STORE-RQ.

    Attributes:
        sop_class_uid, sop_instance_uid: as they came, without padding; empty where they are missing.
        has_dataset: whether one follows.
    """

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    has_dataset: bool = True


def read_store_command(command_set: bytes | bytearray) -> StoreCommand | None:
    """The C-STORE-RQ in a command set; None for any other message, and for one that says too little to be answered."""
    elements = _elements(command_set)
    if elements is None or _number(elements, COMMAND_FIELD) != C_STORE_RQ:
        return None
    message_id = _number(elements, MESSAGE_ID)
    if message_id is None or MESSAGE_ID_BEING_RESPONDED_TO in elements:
        return None
    return StoreCommand(
        message_id,
        _uid(elements, AFFECTED_SOP_CLASS_UID),
        _uid(elements, AFFECTED_SOP_INSTANCE_UID),
        _number(elements, COMMAND_DATA_SET_TYPE) != NO_DATASET,
    )


def store_response(command: StoreCommand, context_id: int, status: int, comment: str = "", largest_pdu_bytes: int = 0) -> bytes:
    """A C-STORE-RSP in P-DATA-TF PDUs: one, unless the peer takes only shorter ones.

    Args:
        command: the request.
        context_id: of its presentation context.
        status: how it ended.
        comment: a word about a failure.
        largest_pdu_bytes: maximum length that the peer announced; 0 for no limit.
    """
    elements = [
        _text(AFFECTED_SOP_CLASS_UID, command.sop_class_uid, b"\0"),
        _element(COMMAND_FIELD, _US.pack(C_STORE_RSP)),
        _element(MESSAGE_ID_BEING_RESPONDED_TO, _US.pack(command.message_id)),
        _element(COMMAND_DATA_SET_TYPE, _US.pack(NO_DATASET)),
        _element(STATUS, _US.pack(status)),
        _text(ERROR_COMMENT, comment[:_ERROR_COMMENT_LENGTH], b" "),
        _text(AFFECTED_SOP_INSTANCE_UID, command.sop_instance_uid, b"\0"),
    ]
    body = b"".join(elements)
    command_set = _element(0x0000, struct.pack("<I", len(body))) + body
    most = max(largest_pdu_bytes - _PDV_HEADER_BYTES, 1) if largest_pdu_bytes else len(command_set)
    fragments = [command_set[start : start + most] for start in range(0, len(command_set), most)]
    return b"".join(
        _command_pdu(context_id, fragment, is_last=number == len(fragments)) for number, fragment in enumerate(fragments, 1)
    )


def _command_pdu(context_id: int, fragment: bytes, *, is_last: bool) -> bytes:
    size = len(fragment) + 2
    control = LAST_COMMAND_FRAGMENT if is_last else COMMAND_FRAGMENT
    return _PDU_AND_PDV.pack(P_DATA_TF, 0, size + 4, size, context_id, control) + fragment


def _elements(command_set: bytes | bytearray) -> dict[int, bytes] | None:
    """Values by element number of group 0000; None if it is no command set."""
    elements: dict[int, bytes] = {}
    position, end = 0, len(command_set)
    while position < end:
        if end - position < _ELEMENT.size:
            return None
        group, element, length = _ELEMENT.unpack_from(command_set, position)
        position += _ELEMENT.size
        if group != 0 or length > end - position:
            return None
        elements[element] = bytes(command_set[position : position + length])
        position += length
    return elements


def _number(elements: dict[int, bytes], element: int) -> int | None:
    value = elements.get(element, b"")
    return _US.unpack(value)[0] if len(value) == _US.size else None


def _uid(elements: dict[int, bytes], element: int) -> str:
    return elements.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace")


def _text(element: int, text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return _element(element, value + padding * (len(value) % 2)) if value else b""


def _element(element: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, element, len(value)) + value
