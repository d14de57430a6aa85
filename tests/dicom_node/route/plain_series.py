"""Series made of plain facts."""

from pathlib import Path

from dicom_node.model import Instance, Series

CT = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def make_series(
    uid: str = "1.2.3",
    *,
    count: int = 20,
    sop_class_uid: str = CT,
    step_mm: float = 3.0,
    orientation: tuple[float, ...] = AXIAL,
    calling_ae_title: str = "PACS",
    **attributes: str | tuple[str, ...],
) -> Series:
    """A CT of the chest; keyword arguments are attributes, an empty text leaves one out."""
    facts: dict[str, str | tuple[str, ...]] = {
        "Modality": "CT",
        "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "SeriesNumber": uid.rpartition(".")[2],
        **attributes,
    }
    told = {k: (v,) if isinstance(v, str) else v for k, v in facts.items() if v}
    instances = tuple(
        Instance(
            sop_instance_uid=f"{uid}.{n}",
            sop_class_uid=sop_class_uid,
            series_instance_uid=uid,
            study_instance_uid="1.2",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=Path("/spool") / f"{uid}.{n}",
            size_bytes=1,
            received_at=float(n),
            calling_ae_title=calling_ae_title,
            attributes={**told, "InstanceNumber": (str(n),)},
            planes=((0.0, 0.0, n * step_mm, *orientation, 0.7, 0.7, 512.0, 512.0),) if orientation else (),
        )
        for n in range(1, count + 1)
    )
    return Series(uid, "1.2", instances)
