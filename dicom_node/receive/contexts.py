"""What is accepted in a presentation context: every storage SOP class, every transfer syntax, as the sender prefers.

Source: DICOM PS3.4 Annex B.5 and GG, PS3.6 Table A-1, PS3.7 D.3.3.4 (role selection), PS3.4 J.2 (storage commitment).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from pydicom._uid_dict import UID_dictionary
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext

from dicom_node.receive.settings import ReceiverSettings

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT_PUSH_MODEL = "1.2.840.10008.1.20.1"
_STORAGE_KEYWORD = re.compile(r"Storage(For\w+|SR|Trial|Retired)?$")
_NEVER_STORED = {"MediaStorageDirectoryStorage"}
_NO_DATASETS = {"1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.6.2"}  # MIME and XML
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")

Roles = Mapping[str, tuple[bool | None, bool | None]]
"""(SCU, SCP) role that the requestor proposes for itself, by SOP class."""


@cache
def storage_sop_class_uids() -> frozenset[str]:
    """Every storage SOP class of the standard, retired ones included."""
    known = {
        uid
        for uid, (_, kind, _, _, keyword) in UID_dictionary.items()
        if kind == "SOP Class" and _STORAGE_KEYWORD.search(keyword) and keyword not in _NEVER_STORED
    }
    return frozenset(known | {str(context.abstract_syntax) for context in AllStoragePresentationContexts})


@cache
def transfer_syntax_uids() -> frozenset[str]:
    """Every transfer syntax of the standard that a dataset can have, retired ones included."""
    known = {uid for uid, (_, kind, *_) in UID_dictionary.items() if kind == "Transfer Syntax"}
    return frozenset((known | set(ALL_TRANSFER_SYNTAXES)) - _NO_DATASETS)


def is_stored(abstract_syntax: str, settings: ReceiverSettings) -> bool:
    """Whether instances of this SOP class are taken."""
    if abstract_syntax in settings.private_sop_class_uids or abstract_syntax in storage_sop_class_uids():
        return True
    return settings.accept_unknown_storage and abstract_syntax not in UID_dictionary


def supported(proposed: Sequence[PresentationContext], roles: Roles, settings: ReceiverSettings) -> list[PresentationContext]:
    """What is supported of what a requestor proposes, one context for each abstract syntax, in the requestor's own order.

    Only what is asked for is built: the full table of some 200 SOP classes by 60 transfer syntaxes is never copied.
    """
    acceptable = transfer_syntax_uids() | settings.private_transfer_syntax_uids
    wanted: dict[str, list[str]] = {}
    for context in proposed:
        syntaxes = wanted.setdefault(str(context.abstract_syntax), [])
        syntaxes.extend(str(t) for t in context.transfer_syntax if str(t) not in syntaxes)
    built = (_context(uid, syntaxes, acceptable, roles, settings) for uid, syntaxes in wanted.items())
    return [context for context in built if context is not None]


def _context(
    uid: str, proposed: Sequence[str], acceptable: Collection[str], roles: Roles, settings: ReceiverSettings
) -> PresentationContext | None:
    commitment = uid == STORAGE_COMMITMENT_PUSH_MODEL
    if commitment or uid == VERIFICATION:
        acceptable = _NATIVE
    elif not is_stored(uid, settings):
        return None
    context = PresentationContext()
    context.abstract_syntax = uid
    context.transfer_syntax = [t for t in proposed if t in acceptable]
    if commitment and uid in roles:  # the one who reports is the SCP: Annex J.2
        context.scu_role, context.scp_role = False, True
    return context if context.transfer_syntax else _unacceptable(uid)


def _unacceptable(uid: str) -> PresentationContext:
    """Known, but in no transfer syntax that was proposed: the requestor is told which of the two it is."""
    context = PresentationContext()
    context.abstract_syntax = uid
    context.transfer_syntax = [_NATIVE[0]]
    return context
