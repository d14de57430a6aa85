"""C-STORE as a service class user: files to a destination, one outcome for each.

Source: DICOM PS3.4 Annex B (Storage), PS3.7 9.1.1 (C-STORE).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Self

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from pynetdicom.association import Association

from dicom_node.deliver.association import (
    MAX_CONTEXTS,
    NATIVE,
    NoAssociationError,
    NothingAcceptedError,
    associate,
    contexts_for,
)
from dicom_node.deliver.outcome import NotAccepted, Permanent, SendOutcome, Transient, outcome_of
from dicom_node.model import Destination

SLOWEST_LINK_BYTES_PER_S = 125_000  # the time to answer grows with the size: 1 Mbit/s must do


@dataclass(frozen=True, slots=True)
class Parcel:
    """A Part 10 file that is to be sent, and what it is."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str


class Sender:
    """Sends files one after the other, on one association as long as it lives and suits.

    An association that breaks costs the file it broke on; the next file opens another. Close it, or use it in a `with` block.

    Args:
        destination: whom to send to, and how long to wait for each answer.
        local_ae_title: who sends.
        sop_class_uids: what may come later; offered from the start, so that the association need not be opened again.
    """

    def __init__(self, destination: Destination, local_ae_title: str, sop_class_uids: Sequence[str] = ()) -> None:
        self._destination = destination
        self._local_ae_title = local_ae_title
        self._expected: list[tuple[str, str]] = list(product(sop_class_uids, NATIVE))
        self._offered: frozenset[tuple[str, str]] = frozenset()
        self._association: Association | None = None
        self._opened = ExitStack()
        self._message_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the association, if there is one."""
        self._association = None
        self._opened.close()

    def send(self, parcel: Parcel) -> SendOutcome:
        """Send a file, and say what became of it."""
        try:
            transfer_syntax_uid = str(read_file_meta_info(parcel.path).TransferSyntaxUID)
            size_bytes = parcel.path.stat().st_size
        except (FileNotFoundError, InvalidDicomError, AttributeError) as error:
            return Permanent(
                None, f"{parcel.path.name} is missing or no DICOM file ({type(error).__name__}); run the job again"
            )
        except OSError as error:
            return Transient(f"{parcel.path.name} cannot be read ({error.strerror})", alarm=True)
        try:
            association = self._open([(parcel.sop_class_uid, uid) for uid in dict.fromkeys((transfer_syntax_uid, *NATIVE))])
        except NothingAcceptedError as error:
            return NotAccepted(str(error))
        except NoAssociationError as error:
            return Transient(str(error), alarm=error.rejected, unreachable=True)
        association.dimse_timeout = self._destination.network_timeout_s + size_bytes / SLOWEST_LINK_BYTES_PER_S
        return self._store(association, parcel, transfer_syntax_uid)

    def _open(self, pairs: Sequence[tuple[str, str]]) -> Association:
        """The association at hand, or a new one that offers these abstract and transfer syntaxes too."""
        if self._association is not None and self._association.is_established and self._offered.issuperset(pairs):
            return self._association
        self.close()
        offer = list(dict.fromkeys([*pairs, *self._expected]))[:MAX_CONTEXTS]
        self._association = self._opened.enter_context(associate(self._destination, self._local_ae_title, contexts_for(offer)))
        self._offered = frozenset(offer)
        self._expected = offer
        return self._association

    def _store(self, association: Association, parcel: Parcel, transfer_syntax_uid: str) -> SendOutcome:
        name = self._destination.name
        accepted = {c.transfer_syntax[0] for c in association.accepted_contexts if c.abstract_syntax == parcel.sop_class_uid}
        as_it_is = transfer_syntax_uid in accepted
        if not (as_it_is or (accepted.intersection(NATIVE) and transfer_syntax_uid in NATIVE)):
            wanted = f"{UID(parcel.sop_class_uid).name} ({parcel.sop_class_uid})"
            return NotAccepted(f"{name} accepts no presentation context for {wanted}")
        # The other little endian encoding needs the elements; anything else goes out byte for byte.
        content = parcel.path if as_it_is else dcmread(parcel.path)
        self._message_id = self._message_id % 0xFFFF + 1
        try:
            response = association.send_c_store(content, msg_id=self._message_id)
        except RuntimeError:  # the association ended meanwhile
            self.close()
            return Transient(f"{name} ended the association")
        if "Status" not in response:
            self.close()  # an aborted association looks established for a moment
            return Transient(f"{name} did not answer C-STORE, or aborted the association")
        return outcome_of(int(response.Status), str(response.get("ErrorComment", "")))


def send(path: Path, sop_class_uid: str, sop_instance_uid: str, destination: Destination, local_ae_title: str) -> SendOutcome:
    """Send one file on an association of its own."""
    with Sender(destination, local_ae_title) as sender:
        return sender.send(Parcel(path, sop_class_uid, sop_instance_uid))


def send_all(parcels: Sequence[Parcel], destination: Destination, local_ae_title: str) -> Iterator[SendOutcome]:
    """Send files in order; gives the outcome of each as soon as it is known.

    Where no association comes about, what is left is transient too: nobody waits for a dead destination twice.
    """
    with Sender(destination, local_ae_title, [parcel.sop_class_uid for parcel in parcels]) as sender:
        rest = iter(parcels)
        for parcel in rest:
            outcome = sender.send(parcel)
            yield outcome
            if isinstance(outcome, Transient) and outcome.unreachable:
                yield from (outcome for _ in rest)
