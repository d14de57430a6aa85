"""The tables of docs/conformance.md, made from the code: `python -m tests.conformance_tables` writes them anew."""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import AE

from dicom_node import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.cli.commands.inspection import FORMS
from dicom_node.deliver.association import NATIVE, STORAGE_COMMITMENT_PUSH_MODEL, STUDY_ROOT_FIND, VERIFICATION
from dicom_node.deliver.outcome import NotAccepted, Permanent, SendOutcome, Stored, StoredWithWarning, Transient, outcome_of
from dicom_node.model import Destination
from dicom_node.receive.access import Rejection
from dicom_node.receive.backpressure import REOPEN_SHARE
from dicom_node.receive.contexts import storage_sop_class_uids, transfer_syntax_uids
from dicom_node.receive.pdata import LARGEST_COMMAND_BYTES
from dicom_node.receive.settings import ReceiverSettings
from dicom_node.receive.statuses import Status
from dicom_node.receive.streaming import LARGEST_OTHER_MESSAGE_BYTES
from dicom_node.receive.transport import LARGEST_NEGOTIATION_BYTES
from dicom_node.receive.web.refusals import FailureReason
from dicom_node.receive.web.response import JSON, XML
from dicom_node.receive.web.settings import WebReceiverSettings
from dicom_node.report.concepts import SUMMARY
from dicom_node.report.normalise import OPTIONAL, REQUIRED

DOCUMENT = Path(__file__).parent.parent / "docs" / "conformance.md"
MARKED = re.compile(r"(?P<begin><!-- table: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end of table -->)", re.DOTALL)

ASKED = {
    Status.SUCCESS: "the file and its name are on stable storage",
    Status.PROCESSING_FAILURE: "an error inside the node; a commitment report that could not be kept",
    Status.NO_SUCH_EVENT_TYPE: "a commitment report with an Event Type ID other than 1 and 2",
    Status.INVALID_ARGUMENT_VALUE: "a commitment report without Transaction UID or without any instance",
    Status.INVALID_SOP_INSTANCE: "Affected SOP Instance UID is absent or no UID",
    Status.SOP_CLASS_NOT_SUPPORTED: "C-STORE on a presentation context whose SOP class is none of storage",
    Status.NO_SUCH_SOP_CLASS: "Affected SOP Class UID is no UID; an event report of another service",
    Status.OUT_OF_RESOURCES: "disk nearly full, too much waits to be indexed, or the file cannot be written: send again later",
    Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS: "the SOP class is not that of the presentation context",
    Status.CANNOT_UNDERSTAND: "no dataset, or one that is larger than `max_instance_bytes`",
}
REJECTED = {
    Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED: "no `[[receive.peer]]` has this AE title and address",
    Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED: "the called AE title is not the node's",
    Rejection.TEMPORARY_CONGESTION: "storage is proposed while C-STORE is answered with A700H; Verification alone is accepted",
    Rejection.LOCAL_LIMIT_EXCEEDED: "as many associations as are allowed, in all or of this address",
}
WEB_FAILURES = {
    FailureReason.PROCESSING_FAILURE: "an error inside the node",
    FailureReason.SOP_CLASS_NOT_SUPPORTED: "the SOP class is not one for storage",
    FailureReason.OUT_OF_RESOURCES: "the disk is nearly full, or the file could not be written: send again later",
    FailureReason.OTHER_STUDY: "the instance is of another study than the request",
    FailureReason.CANNOT_UNDERSTAND: "no file of PS3.10, no dataset, no UIDs, not application/dicom, too large",
    FailureReason.TRANSFER_SYNTAX_NOT_SUPPORTED: "the transfer syntax is not known",
}
RECEIVED: dict[type[SendOutcome], str] = {
    Stored: "stored",
    StoredWithWarning: "stored; the warning is kept, `why` shows it",
    NotAccepted: "the next form is sent at once; after the last a dead letter",
    Permanent: "dead letter, until a person says `retry`",
    Transient: "sent again with growing waits, without an end",
}


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |\n" for line in lines)


def identification() -> str:
    settings, destination, requestor = (
        ReceiverSettings("DICOM-NODE"),
        Destination("pacs", "PACS", "host", 104),
        AE("DICOM-NODE"),
    )
    return table(
        ("parameter", "value", "key"),
        (
            ("Implementation Class UID", IMPLEMENTATION_CLASS_UID, "–"),
            ("Implementation Version Name", re.sub(r"\d.*", "*version*", IMPLEMENTATION_VERSION_NAME), "–"),
            ("Maximum PDU length that it announces as acceptor", settings.maximum_pdu_bytes, "`[receive] maximum_pdu_bytes`"),
            ("Associations that it accepts at once", settings.max_associations, "`[receive] max_associations`"),
            ("ACSE timeout", f"{settings.timeouts.acse_s:g} s", "`[receive] acse_timeout_s`"),
            ("DIMSE timeout", f"{settings.timeouts.dimse_s:g} s", "`[receive] dimse_timeout_s`"),
            ("Silence on an open association", f"{settings.timeouts.network_s:g} s", "`[receive] network_timeout_s`"),
            ("Maximum PDU length that it announces as requestor", requestor.maximum_pdu_size, "–"),
            ("Every wait as requestor", f"{destination.network_timeout_s:g} s", "`[[destination]] network_timeout_s`"),
            ("Associations that it opens at once", "1 for each destination, beside those of `check` and of a count", "–"),
            ("Asynchronous operations window", "not negotiated: one at a time", "–"),
        ),
    )


def rejections() -> str:
    """Source: PS3.8 9.3.4."""
    return table(("reason", "result", "source", "code", "when"), ((_words(r.name), *r.value, REJECTED[r]) for r in Rejection))


def limits() -> str:
    settings = ReceiverSettings("DICOM-NODE")
    marks = settings.watermarks
    refused = f"{marks.refuse_below_bytes >> 20} MiB or {marks.refuse_below_share:.0%}, whichever is more"
    taken_again = f"{marks.resume_above_bytes >> 20} MiB or {marks.resume_above_share:.0%}"
    return table(
        ("limit", "value", "key", "beyond it"),
        (
            (
                "Associations at once",
                settings.max_associations,
                "`max_associations`",
                "rejected, transient (2, 3, 2); from twice as many on the connection is closed",
            ),
            (
                "The same of one network address",
                settings.max_associations_per_peer,
                "`max_associations_per_peer`",
                "rejected, transient (2, 3, 2)",
            ),
            (
                "Free space, at least",
                refused,
                "`min_free_bytes`, `min_free_percent`",
                "A700H, and senders' associations rejected, transient (2, 3, 1)",
            ),
            ("Free space to go on", taken_again, "`resume_free_bytes`, `resume_free_percent`", "–"),
            (
                "Instances that wait to be indexed",
                settings.max_unindexed,
                "`max_unindexed`",
                f"as without free space, until there are {REOPEN_SHARE:.0%} of that",
            ),
            ("Data set", f"{settings.max_instance_bytes >> 30} GiB", "`max_instance_bytes`", "read to its end, C000H"),
            ("Time of an instance", f"{settings.max_instance_s:g} s", "`max_instance_s`", "association aborted"),
            (
                "Announced PDU",
                f"{LARGEST_NEGOTIATION_BYTES >> 20} MiB, or `maximum_pdu_bytes` if that is more; 0: any",
                "`maximum_pdu_bytes`",
                "association aborted",
            ),
            ("Command set", f"{LARGEST_COMMAND_BYTES >> 10} KiB", "–", "association aborted"),
            ("Other message than C-STORE", f"{LARGEST_OTHER_MESSAGE_BYTES >> 20} MiB", "–", "association aborted"),
        ),
    )


def sop_classes() -> str:
    uids = _sorted(storage_sop_class_uids())
    return f"{len(uids)} SOP classes:\n\n" + table(("SOP class", "UID"), ((_name(uid), uid) for uid in uids))


def transfer_syntaxes() -> str:
    uids = _sorted(transfer_syntax_uids())
    return f"{len(uids)} transfer syntaxes:\n\n" + table(("transfer syntax", "UID"), ((_name(uid), uid) for uid in uids))


def statuses_returned() -> str:
    return table(("status", "when"), ((f"{status:04X}H", ASKED[status]) for status in Status))


def web() -> str:
    """Source: PS3.18 10.5."""
    settings = WebReceiverSettings()
    return table(
        ("parameter", "value", "key"),
        (
            ("Resources", "`POST /studies`, `POST /studies/{study}`", "`[web] port`"),
            ("Request", '`multipart/related; type="application/dicom"`, or one `application/dicom`', "–"),
            ("Response", f"`{JSON}`, or `{XML}` where Accept prefers it", "–"),
            ("Transfer syntaxes, SOP classes", "those of sections 10 and 11, as the File Meta Information says", "`[receive]`"),
            ("Content-Encoding", "none", "–"),
            ("Requests at the same time", settings.max_requests, "`[web] max_requests`"),
            ("Parts of a request", settings.max_parts, "`[web] max_parts`"),
            ("Silence inside a request", f"{settings.idle_s:g} s", "`[web] idle_timeout_s`"),
        ),
    )


def web_failures() -> str:
    """Source: PS3.18 I.2.2."""
    return table(("value", "decimal", "when"), ((f"{int(r):04X}H", int(r), WEB_FAILURES[r]) for r in FailureReason))


def services_used() -> str:
    syntaxes = ", ".join(uid.name for uid in NATIVE)
    forms = [(kind.value, rank, UID(uid)) for kind, classes in FORMS.items() for rank, uid in enumerate(classes)]
    rows: list[tuple[str, str, str, str]] = [
        (uid.name, uid, f"{kind}{f', fallback {rank}' if rank else ''}", syntaxes) for kind, rank, uid in forms
    ]
    others = {VERIFICATION: "`check`", STUDY_ROOT_FIND: "counts, read-back", STORAGE_COMMITMENT_PUSH_MODEL: "commitment"}
    rows += [(uid.name, uid, use, syntaxes) for uid, use in others.items()]
    return table(("SOP class", "UID", "for", "transfer syntaxes"), rows)


def statuses_received() -> str:
    """Every status there is, those with one outcome and one word together."""
    ranges = []
    for key, group in groupby(range(0x10000), key=_handled):
        statuses = list(group)
        first, last = statuses[0], statuses[-1]
        if key[1] != "unforeseen status":
            ranges.append((f"{first:04X}H" + (f"–{last:04X}H" if last > first else ""), key[1], RECEIVED[key[0]]))
    return table(
        ("status", "meaning", "what the node does"),
        [*ranges, ("any other", "unforeseen status", f"{RECEIVED[Transient]}, and an alarm in the log")],
    )


def identity() -> str:
    return table(
        ("attributes", "in results"),
        (
            (", ".join(REQUIRED), "always; empty where the source says nothing"),
            (", ".join(OPTIONAL), "where the source has them"),
        ),
    )


def summaries() -> str:
    """Source: PS3.16 CID 6047."""
    rows = {(outcome.value, code.value, code.meaning): None for (outcome, _), code in SUMMARY.items()}
    return table(("outcome", "(111017, DCM)", "meaning"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "identification": identification,
    "rejections": rejections,
    "limits": limits,
    "sop-classes": sop_classes,
    "transfer-syntaxes": transfer_syntaxes,
    "statuses-returned": statuses_returned,
    "web": web,
    "web-failures": web_failures,
    "services-used": services_used,
    "statuses-received": statuses_received,
    "identity": identity,
    "summaries": summaries,
}


def with_tables(document: str) -> str:
    """The document with every marked table as the code says now.

    Raises:
        KeyError: it marks a table that does not exist.
    """
    return MARKED.sub(lambda found: f"{found['begin']}\n{TABLES[found['name']]()}\n{found['end']}", document)


def _handled(status: int) -> tuple[type[SendOutcome], str]:
    outcome = outcome_of(status)
    said = getattr(outcome, "warning", "") or getattr(outcome, "reason", "")
    word = said.partition(" (")[0]
    if isinstance(outcome, Stored):
        word = "duplicate SOP instance" if status else "success"
    return type(outcome), word


def _sorted(uids: Iterable[str]) -> list[str]:
    return sorted(uids, key=lambda uid: [int(part) for part in uid.split(".")])


def _name(uid: str) -> str:
    name, _, _, retired, _ = UID_dictionary.get(uid, (UID(uid).name, "", "", "", ""))
    return f"{name} (retired)" if retired and "(Retired)" not in name else name.replace("(Retired)", "(retired)")


def _words(name: str) -> str:
    return name.lower().replace("_", " ").replace("ae title", "AE title")


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
