"""A name for the input of a job."""

import hashlib
from collections.abc import Mapping

from dicom_node.model import Series


def input_digest(series: Series, companions: Mapping[str, Series] | None = None) -> str:
    """SHA-256 over the study, the series and the SOP Instance UIDs, whatever the order in which they arrived.

    Other series that an engine looks at count with their roles; without any, the digest is that of the series alone.
    """
    words = [series.study_instance_uid, series.series_instance_uid, *_sorted_uids(series)]
    for role, companion in sorted((companions or {}).items()):
        words += [role, companion.series_instance_uid, *_sorted_uids(companion)]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _sorted_uids(series: Series) -> list[str]:
    return sorted({instance.sop_instance_uid for instance in series.instances})
