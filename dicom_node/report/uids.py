"""UIDs that are a function of what they name, so that a repeated run writes the same bytes."""

import hashlib

from dicom_node.model import ResultKind
from dicom_node.report.context import ReportContext
from engine.findings import Algorithm

SEPARATOR = "\x1f"


def derived_uid(*parts: object) -> str:
    """A UID under 2.25 from 128 bits of SHA-256 over the parts.

    Source: PS3.5 B.2.
    """
    digest = hashlib.sha256(SEPARATOR.join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def device_uid(algorithm: Algorithm) -> str:
    """The algorithm as a device; other weights are another device."""
    return derived_uid("device", algorithm.manufacturer, algorithm.name, algorithm.version, algorithm.weights_digest)


def tracking_uid(context: ReportContext, key: str) -> str:
    """A segment through all revisions of its series and all versions of its engine."""
    return derived_uid(
        "tracking", context.identity.study_instance_uid, context.identity.series_instance_uid, context.engine.name, key
    )


def series_uid(context: ReportContext, algorithm: Algorithm, kind: ResultKind, rank: int = 0) -> str:
    """One series per object kind and form; revisions stay in it."""
    made_by = (context.engine.name, algorithm.version, algorithm.weights_digest)
    return derived_uid(
        "series", context.identity.study_instance_uid, context.identity.series_instance_uid, *made_by, kind.value, rank
    )


def sop_instance_uid(context: ReportContext, algorithm: Algorithm, kind: ResultKind, rank: int = 0, part: int = 0) -> str:
    """One instance per input, algorithm and part: not per run.

    Neither the revision's number nor the processor it ran on counts: a node whose ledger was lost, and starts to count anew,
    must not put a second result beside the first.
    """
    series = series_uid(context, algorithm, kind, rank)
    return derived_uid("instance", series, context.identity.input_digest, algorithm.parameters, *([part] if part else []))


def dimension_organization_uid(sop_instance: str) -> str:
    return derived_uid("dimensions", sop_instance)
