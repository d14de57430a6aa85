"""One Store Transaction: takes the parts of a request, puts instances into the store, and knows what came of each.

Source: DICOM PS3.18 10.5.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from http import HTTPStatus

import structlog

from dicom_node.receive.contexts import is_stored, transfer_syntax_uids
from dicom_node.receive.part10 import StoreRequest
from dicom_node.receive.settings import ReceiverSettings
from dicom_node.receive.statuses import StoreRefused
from dicom_node.receive.storing import Arrival, StoreHandler
from dicom_node.receive.web.multipart import DICOM
from dicom_node.receive.web.prefix import LONGEST_PREFIX_BYTES, Prefix, read_prefix
from dicom_node.receive.web.refusals import FailureReason, PartRefused, RequestRefused
from dicom_node.receive.web.study import study_instance_uid

log = structlog.get_logger()

UID = re.compile(r"[0-9.]{1,64}")
LARGEST_SEARCH_BYTES = 4 << 20
"""So much of a dataset is kept in memory to find its study, where a request names one; nearly always the first 64 KiB do."""
_SEARCH_GROWTH = 4
_LOGGED_REFUSALS = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one part.

    Attributes:
        sop_class_uid, sop_instance_uid: empty where the part did not say, or said no UID.
        failure: why it is not stored, or None.
    """

    sop_class_uid: str
    sop_instance_uid: str
    failure: FailureReason | None = None
    unsupported_media_type: bool = False


class _State(Enum):
    IDLE = auto()
    BEGINNING = auto()  # what came is kept until it says what it is
    STORING = auto()
    REFUSED = auto()  # the rest of the part is dropped


class StoreTransaction:
    """The parts of one request, in turn; used by one thread at a time.

    Args:
        store: takes the instances.
        settings: what is accepted.
        origin: of the request: addresses and scheme.
        study: whose instances are taken; empty for any.
        max_parts: more end the request.
    """

    def __init__(
        self, store: StoreHandler, settings: ReceiverSettings, origin: StoreRequest, study: str, max_parts: int
    ) -> None:
        self.outcomes: list[Outcome] = []
        self.refused_count = 0
        self._store = store
        self._settings = settings
        self._origin = origin
        self._study = study
        self._max_parts = max_parts
        self._state = _State.IDLE
        self._begin = bytearray()
        self._wanted_bytes = LONGEST_PREFIX_BYTES
        self._dataset_bytes = 0
        self._prefix: Prefix | None = None
        self._arrival: Arrival | None = None
        self._since = time.monotonic()

    @property
    def is_overdue(self) -> bool:
        """Whether the part that is arriving takes too long."""
        return time.monotonic() - self._since > self._settings.max_instance_s

    @property
    def stored_count(self) -> int:
        return len(self.outcomes) - self.refused_count

    def begin(self, media_type: str) -> None:
        """A part begins.

        Raises:
            RequestRefused: it is one too many.
        """
        if len(self.outcomes) >= self._max_parts:
            raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {self._max_parts} parts in a request are taken")
        self._state = _State.BEGINNING
        self._begin = bytearray()
        self._wanted_bytes = LONGEST_PREFIX_BYTES
        self._dataset_bytes = 0
        self._prefix = None
        if media_type and media_type.encode("latin-1") != DICOM:
            refused = PartRefused(FailureReason.CANNOT_UNDERSTAND, "the part is not application/dicom")
            self._refuse(refused, unsupported_media_type=True)

    def data(self, chunk: memoryview) -> None:
        """More of the part.

        Raises:
            RequestRefused: the instance is too large, or there is no room.
        """
        if self._state is _State.BEGINNING:
            self._begin += chunk
            if len(self._begin) >= self._wanted_bytes:
                self._settle(lambda: self._identify(whole=False))
        elif self._state is _State.STORING:
            self._settle(lambda: self._write(chunk))

    def end(self) -> None:
        """The part is whole.

        Raises:
            RequestRefused: there is no room.
        """
        if self._state is _State.BEGINNING:
            self._settle(lambda: self._identify(whole=True))
        if self._state is _State.STORING:
            self._settle(self._commit)
        self._state = _State.IDLE
        self._since = time.monotonic()

    def discard(self) -> None:
        """Leave nothing of a part that did not become whole. Allowed at any time."""
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.discard()

    def _settle(self, action: Callable[[], None]) -> None:
        """Do it; what goes wrong is the outcome of this part. A full disk ends the request, so that the sender comes again."""
        try:
            action()
        except RequestRefused as refused:
            self._refuse(PartRefused(FailureReason.CANNOT_UNDERSTAND, refused.words))
            raise
        except StoreRefused as refused:
            self._refuse(PartRefused.of(refused))
        except PartRefused as refused:
            self._refuse(refused)
        except Exception:  # the outcome of a part is settled here: the sender must hear that the instance is not kept
            log.exception("storing over the web failed")
            self._refuse(PartRefused(FailureReason.PROCESSING_FAILURE, "internal error"))
        if self.outcomes and self.outcomes[-1].failure is FailureReason.OUT_OF_RESOURCES:
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "no room at the moment")

    def _identify(self, *, whole: bool) -> None:
        """Look at the beginning of the instance; if it is welcome, open a file for it."""
        prefix = self._prefix = read_prefix(bytes(self._begin[:LONGEST_PREFIX_BYTES]))
        self._check_classes(prefix)
        dataset = memoryview(bytes(self._begin))[prefix.length_bytes :]
        if whole and not dataset:
            raise PartRefused(FailureReason.CANNOT_UNDERSTAND, "no dataset")
        if self._study and not self._is_of_study(dataset, prefix, whole=whole):
            self._wanted_bytes *= _SEARCH_GROWTH
            return
        self._begin = bytearray()
        self._arrival = self._store.begin(
            replace(
                self._origin,
                sop_class_uid=prefix.sop_class_uid,
                sop_instance_uid=prefix.sop_instance_uid,
                transfer_syntax_uid=prefix.transfer_syntax_uid,
            )
        )
        self._state = _State.STORING
        self._write(dataset)

    def _check_classes(self, prefix: Prefix) -> None:
        if not is_stored(prefix.sop_class_uid, self._settings):
            raise PartRefused(FailureReason.SOP_CLASS_NOT_SUPPORTED, "the SOP class is not one for storage")
        if prefix.transfer_syntax_uid not in transfer_syntax_uids() | self._settings.private_transfer_syntax_uids:
            raise PartRefused(FailureReason.TRANSFER_SYNTAX_NOT_SUPPORTED, "the transfer syntax is not known")

    def _is_of_study(self, dataset: memoryview, prefix: Prefix, *, whole: bool) -> bool:
        """Whether it is known to be of the study of the request; False: more of it must come."""
        found = study_instance_uid(bytes(dataset), prefix.transfer_syntax_uid)
        if found == self._study:
            return True
        if found is not None:
            raise PartRefused(FailureReason.OTHER_STUDY, "the instance is of another study than the request")
        if whole or len(dataset) >= LARGEST_SEARCH_BYTES:
            raise PartRefused(FailureReason.CANNOT_UNDERSTAND, "no Study Instance UID can be read")
        return False

    def _write(self, chunk: memoryview) -> None:
        assert self._arrival is not None  # noqa: S101  # in state STORING
        self._dataset_bytes += len(chunk)
        if self._dataset_bytes > self._settings.max_instance_bytes:
            words = f"an instance is larger than {self._settings.max_instance_bytes} bytes"
            raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
        if chunk:
            self._arrival.write(chunk)

    def _commit(self) -> None:
        assert self._arrival is not None  # noqa: S101  # in state STORING
        if not self._dataset_bytes:
            raise PartRefused(FailureReason.CANNOT_UNDERSTAND, "no dataset")
        self._arrival.commit()
        self.discard()
        self.outcomes.append(self._outcome())

    def _refuse(self, refused: PartRefused, *, unsupported_media_type: bool = False) -> None:
        self.discard()
        self._state = _State.REFUSED
        self._begin = bytearray()
        outcome = replace(self._outcome(), failure=refused.reason, unsupported_media_type=unsupported_media_type)
        self.outcomes.append(outcome)
        self.refused_count += 1
        said = log.warning if self.refused_count <= _LOGGED_REFUSALS else log.debug
        said(
            "instance refused over the web",
            sop_instance_uid=outcome.sop_instance_uid,
            failure_reason=f"{refused.reason:04X}H",
            reason=refused.words,
        )

    def _outcome(self) -> Outcome:
        if self._prefix is None:
            return Outcome("", "")
        sop_class, sop_instance = self._prefix.sop_class_uid, self._prefix.sop_instance_uid
        return Outcome(sop_class if UID.fullmatch(sop_class) else "", sop_instance if UID.fullmatch(sop_instance) else "")
