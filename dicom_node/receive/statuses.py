"""The DIMSE statuses that the node answers with.

Source: DICOM PS3.4 B.2.3 and J.3, PS3.7 Annex C.
"""

from enum import IntEnum


class Status(IntEnum):
    """What a C-STORE or N-EVENT-REPORT came to."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT_VALUE = 0x0115
    INVALID_SOP_INSTANCE = 0x0117
    NO_SUCH_SOP_CLASS = 0x0118
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class StoreRefused(Exception):
    """An instance is not taken; the sender is told the status, and (0000,0902) Error Comment says why."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(f"{status:04X}H: {reason}")
        self.status = status
        self.reason = reason
