"""Rows of the tables as the domain's values, and back."""

from pathlib import Path
from typing import Any

from sqlalchemy import Row

from dicom_node.lifecycle import State
from dicom_node.model import Delivery, Instance, Job, Result, ResultKind

KIND_ORDER = {kind: order for order, kind in enumerate(ResultKind)}


def instance_values(instance: Instance) -> dict[str, Any]:
    return {
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "series_instance_uid": instance.series_instance_uid,
        "study_instance_uid": instance.study_instance_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "path": str(instance.path),
        "size_bytes": instance.size_bytes,
        "received_at": instance.received_at,
        "calling_ae_title": instance.calling_ae_title,
        "called_ae_title": instance.called_ae_title,
        "peer_address": instance.peer_address,
        "attributes": dict(instance.attributes),
        "planes": instance.planes,
    }


def to_instance(row: Row[Any]) -> Instance:
    return Instance(
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        series_instance_uid=row.series_instance_uid,
        study_instance_uid=row.study_instance_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
        path=Path(row.path),
        size_bytes=row.size_bytes,
        received_at=row.received_at,
        calling_ae_title=row.calling_ae_title,
        called_ae_title=row.called_ae_title,
        peer_address=row.peer_address,
        attributes={keyword: tuple(values) for keyword, values in row.attributes.items()},
        planes=tuple(tuple(plane) for plane in row.planes),
    )


def to_job(row: Row[Any]) -> Job:
    return Job(
        job_id=row.id,
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        engine=row.engine,
        revision=row.revision,
        input_digest=row.input_digest,
        state=State(row.state),
        attempts=row.attempts,
        not_before=row.not_before,
        priority=row.priority,
        created_at=row.created_at,
        as_of=row.as_of,
        calling_ae_title=row.calling_ae_title,
        reason=row.reason,
        remark=row.remark,
        destinations=tuple(row.destinations),
        predecessors=tuple((sop_class, instance, series) for sop_class, instance, series in row.predecessors),
    )


def to_delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        delivery_id=row.id,
        job_id=row.job_id,
        kind=ResultKind(row.kind),
        destination=row.destination,
        state=State(row.state),
        rank=row.rank,
        attempts=row.attempts,
        not_before=row.not_before,
        status=row.status,
        message=row.message,
        transaction_uid=row.transaction_uid,
    )


def to_result(row: Row[Any]) -> Result:
    return Result(
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        series_instance_uid=row.series_instance_uid,
        kind=ResultKind(row.kind),
        rank=row.rank,
        path=Path(row.path),
    )
