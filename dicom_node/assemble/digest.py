"""A name for the input of a job."""

import hashlib

from dicom_node.model import Series


def input_digest(series: Series) -> str:
    """SHA-256 over the study, the series and the SOP Instance UIDs, whatever the order in which they arrived."""
    uids = sorted({instance.sop_instance_uid for instance in series.instances})
    return hashlib.sha256("\n".join((series.study_instance_uid, series.series_instance_uid, *uids)).encode()).hexdigest()
