"""Questions to a destination: is it there, what does it accept, what does it hold.

Source: DICOM PS3.4 Annex A (Verification), Annex C (Query/Retrieve, study root), PS3.7 9.1.5 and 9.1.2.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.deliver.association import (
    MAX_CONTEXTS,
    STUDY_ROOT_FIND,
    VERIFICATION,
    NoAssociationError,
    NothingAcceptedError,
    associate,
    contexts_for,
    native_contexts,
)
from dicom_node.errors import TransientError
from dicom_node.model import Destination

_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True, slots=True)
class EchoOutcome:
    """Whether a destination answers, and what it said."""

    reachable: bool
    reason: str


def echo(destination: Destination, local_ae_title: str) -> EchoOutcome:
    """C-ECHO."""
    try:
        with associate(destination, local_ae_title, native_contexts(VERIFICATION)) as association:
            status = association.send_c_echo()
    except NoAssociationError as error:
        return EchoOutcome(reachable=False, reason=str(error))
    if "Status" not in status:
        return EchoOutcome(reachable=False, reason=f"{destination.name} did not answer C-ECHO")
    answered = int(status.Status)
    return EchoOutcome(reachable=answered == 0, reason=f"{destination.name} answered C-ECHO with {answered:04X}H")


def accepted_contexts(
    destination: Destination,
    local_ae_title: str,
    sop_class_uids: Sequence[str],
    transfer_syntax_uids: Sequence[str] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
) -> Mapping[str, tuple[str, ...]]:
    """The transfer syntaxes that a destination accepts for each SOP class, each pair offered in a context of its own.

    Raises:
        NoAssociationError: no association came about.
    """
    accepted: dict[str, tuple[str, ...]] = dict.fromkeys(sop_class_uids, ())
    pairs = list(product(accepted, transfer_syntax_uids))
    for start in range(0, len(pairs), MAX_CONTEXTS):
        try:
            with associate(destination, local_ae_title, contexts_for(pairs[start : start + MAX_CONTEXTS])) as association:
                for context in association.accepted_contexts:
                    accepted[str(context.abstract_syntax)] += (str(context.transfer_syntax[0]),)
        except NothingAcceptedError:
            continue
    return accepted


def count_instances(
    destination: Destination, local_ae_title: str, study_instance_uid: str, series_instance_uid: str
) -> int | None:
    """How many instances of a series a PACS holds; None where it cannot be asked or does not say.

    Asks for Number of Series Related Instances, which is optional, and counts the instances one by one otherwise.
    """
    series = _identifier("SERIES", StudyInstanceUID=study_instance_uid, SeriesInstanceUID=series_instance_uid)
    series.NumberOfSeriesRelatedInstances = ""
    instances = _identifier("IMAGE", StudyInstanceUID=study_instance_uid, SeriesInstanceUID=series_instance_uid)
    instances.SOPInstanceUID = ""
    try:
        for match in _find(destination, local_ae_title, series):
            count = match.get("NumberOfSeriesRelatedInstances")
            if match.get("SeriesInstanceUID") == series_instance_uid and count is not None:
                return int(count)
        return len({m.SOPInstanceUID for m in _find(destination, local_ae_title, instances) if "SOPInstanceUID" in m})
    except TransientError:
        return None


def read_back(
    destination: Destination,
    local_ae_title: str,
    study_instance_uid: str,
    series_instance_uid: str,
    sop_instance_uid: str,
) -> bool | None:
    """Whether a PACS holds an instance; None where it cannot be asked."""
    question = _identifier(
        "IMAGE",
        StudyInstanceUID=study_instance_uid,
        SeriesInstanceUID=series_instance_uid,
        SOPInstanceUID=sop_instance_uid,
    )
    try:
        return any(m.get("SOPInstanceUID") == sop_instance_uid for m in _find(destination, local_ae_title, question))
    except TransientError:
        return None


def _identifier(level: Literal["SERIES", "IMAGE"], **keys: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _find(destination: Destination, local_ae_title: str, identifier: Dataset) -> Iterator[Dataset]:
    """All matches.

    Raises:
        TransientError: the question could not be asked, or was not answered to its end.
    """
    model = STUDY_ROOT_FIND
    with associate(destination, local_ae_title, native_contexts(model)) as association:
        matches: list[Dataset] = []
        for status, match in association.send_c_find(identifier, model):
            answered = int(status.Status) if "Status" in status else None
            if answered in _PENDING and match is not None:
                matches.append(match)
            elif answered not in {0x0000, *_PENDING}:
                said = "nothing" if answered is None else f"{answered:04X}H"
                raise TransientError(f"{destination.name} answered C-FIND with {said}")
    yield from matches
