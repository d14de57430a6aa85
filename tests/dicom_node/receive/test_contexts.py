import pytest
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.receive.contexts import STORAGE_COMMITMENT_PUSH_MODEL, VERIFICATION, is_stored, supported
from dicom_node.receive.settings import ReceiverSettings

PRIVATE_CLASS, PRIVATE_SYNTAX = "1.2.840.113619.4.27", "1.2.840.113619.5.2"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
SETTINGS = ReceiverSettings("NODE")


def accepted(contexts: list[PresentationContext], settings: ReceiverSettings = SETTINGS) -> dict[str, list[str]]:
    return {str(c.abstract_syntax): [str(t) for t in c.transfer_syntax] for c in supported(contexts, {}, settings)}


@pytest.mark.parametrize("sop_class_uid", [str(c.abstract_syntax) for c in AllStoragePresentationContexts])
def test_every_storage_sop_class_is_taken_in_every_transfer_syntax(sop_class_uid: str) -> None:
    assert accepted([build_context(sop_class_uid, ALL_TRANSFER_SYNTAXES)]) == {sop_class_uid: list(ALL_TRANSFER_SYNTAXES)}


@pytest.mark.parametrize(
    "sop_class_uid", ["1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.9", "1.2.840.10008.5.1.4.1.1.88.4"]
)
def test_retired_storage_sop_classes_are_taken(sop_class_uid: str) -> None:
    assert is_stored(sop_class_uid, SETTINGS)


@pytest.mark.parametrize(
    "uid", [STUDY_ROOT_FIND, "1.2.840.10008.1.3.10", STORAGE_COMMITMENT_PUSH_MODEL, VERIFICATION, PRIVATE_CLASS]
)
def test_what_is_no_storage_is_not_stored(uid: str) -> None:
    assert not is_stored(uid, SETTINGS)


def test_the_senders_preference_decides() -> None:
    preferred: list[str | UID] = [JPEG2000Lossless, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian]
    assert accepted([build_context(CTImageStorage, preferred)]) == {CTImageStorage: [str(t) for t in preferred]}


def test_private_classes_and_syntaxes_are_taken_when_configured() -> None:
    settings = ReceiverSettings(
        "NODE", private_sop_class_uids=frozenset({PRIVATE_CLASS}), private_transfer_syntax_uids=frozenset({PRIVATE_SYNTAX})
    )
    asked = [build_context(PRIVATE_CLASS, [PRIVATE_SYNTAX, ImplicitVRLittleEndian])]
    assert accepted(asked) == {}
    assert accepted(asked, settings) == {PRIVATE_CLASS: [PRIVATE_SYNTAX, ImplicitVRLittleEndian]}


def test_unknown_classes_are_storage_when_configured_but_other_services_never() -> None:
    settings = ReceiverSettings("NODE", accept_unknown_storage=True)
    assert is_stored(PRIVATE_CLASS, settings)
    assert is_stored("1.2.840.10008.5.1.4.1.1.999", settings)  # of a later edition of the standard
    assert not is_stored(STUDY_ROOT_FIND, settings)


def test_storage_commitment_is_heard_from_its_scp_only() -> None:
    context = [build_context(STORAGE_COMMITMENT_PUSH_MODEL)]
    (with_role,) = supported(context, {STORAGE_COMMITMENT_PUSH_MODEL: (False, True)}, SETTINGS)
    (without,) = supported(context, {}, SETTINGS)
    assert (with_role.scu_role, with_role.scp_role) == (False, True)
    assert (without.scu_role, without.scp_role) == (None, None)
