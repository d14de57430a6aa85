"""Why something is not stored over the web: a part, or the whole request.

Source: DICOM PS3.18 Table 10.5.3-1 (status codes) and I.2.2 (Store Instances Response, Failure Reason).
"""

from enum import IntEnum
from http import HTTPStatus

from dicom_node.receive.statuses import Status, StoreRefused


class FailureReason(IntEnum):
    """Failure Reason (0008,1197) of a part."""

    PROCESSING_FAILURE = 0x0110
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    OTHER_STUDY = 0xA901  # of the range A9xx, as other origin servers use it
    CANNOT_UNDERSTAND = 0xC000
    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


OF_STATUS = {
    Status.PROCESSING_FAILURE: FailureReason.PROCESSING_FAILURE,
    Status.NO_SUCH_SOP_CLASS: FailureReason.SOP_CLASS_NOT_SUPPORTED,
    Status.OUT_OF_RESOURCES: FailureReason.OUT_OF_RESOURCES,
}
"""What the spool's statuses are called here; all others are CANNOT_UNDERSTAND."""


class PartRefused(Exception):
    """A part is not stored; the others may be."""

    def __init__(self, reason: FailureReason, words: str) -> None:
        super().__init__(f"{reason:04X}H: {words}")
        self.reason = reason
        self.words = words

    @classmethod
    def of(cls, refused: StoreRefused) -> "PartRefused":
        return cls(OF_STATUS.get(refused.status, FailureReason.CANNOT_UNDERSTAND), refused.reason)


class RequestRefused(Exception):
    """The request ends here. What was stored of it until now stays, and the answer names it."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(f"{status.value}: {words}")
        self.status = status
        self.words = words
