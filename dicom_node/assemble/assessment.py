"""Is a series whole? It has been quiet, nothing is missing between its slices, and the count is reached."""

from collections.abc import Iterator

from dicom_node.model import AssemblyPolicy, Assessment, Completeness, Instance, Series
from engine.geometry import SlicePlane, StackReport, examine
from engine.geometry.words import count, places

NO_STACKS = frozenset({"AU", "DOC", "KO", "PR", "REG", "RTDOSE", "RTPLAN", "RTRECORD", "RTSTRUCT", "SEG", "SR"})
"""Modalities whose instances are not slices of one stack, though some have positions."""

FEWEST_SLICES = 3
"""With fewer, no gap can be told from the spacing."""


def assess(series: Series, now: float, policy: AssemblyPolicy, expected_count: int | None = None) -> Assessment:
    """Say whether a series may be routed; the order of arrival has no influence.

    Args:
        series: with at least one instance.
        now: the time.
        policy: how long to wait for quiet, and for what is missing; each new instance starts both anew.
        expected_count: how many instances the PACS says that the series has, if it was asked.
    """
    quiet_s = now - series.last_received_at
    if quiet_s < policy.quiet_s:
        return Assessment(Completeness.WAITING, f"the last instance came {max(quiet_s, 0.0):.0f} s ago")
    arrived = len(series.instances)
    report = _stack_report(series)
    too_few = max(0, (expected_count or 0) - arrived)
    missing_count = max(report.missing_count, too_few)
    if not missing_count:
        return Assessment(Completeness.COMPLETE, _whole(arrived, expected_count, report))
    reason = _missing(report, arrived, expected_count if too_few else None)
    if quiet_s < policy.longest_wait_s:
        return Assessment(Completeness.WAITING, reason, missing_count)
    return Assessment(Completeness.INCOMPLETE, f"incomplete: {reason}", missing_count)


def _stack_report(series: Series) -> StackReport:
    """Of series that are no stack of slices an empty one: for these, quiet is enough."""
    if series.first("Modality") in NO_STACKS:
        return StackReport()
    planes = [plane for instance in series.instances for plane in _slice_planes(instance)]
    slices = [plane for plane in planes if not plane.localizer]
    return examine(slices) if len(slices) >= FEWEST_SLICES else StackReport()


def _slice_planes(instance: Instance) -> Iterator[SlicePlane]:
    image_type = instance.attributes.get("ImageType", ())
    for number, plane in enumerate(instance.planes, start=1):
        px, py, pz, rx, ry, rz, cx, cy, cz, between_rows, between_columns, rows, columns = plane
        yield SlicePlane(
            sop_instance_uid=instance.sop_instance_uid,
            frame_number=number if len(instance.planes) > 1 else None,
            position=(px, py, pz),
            orientation=(rx, ry, rz, cx, cy, cz),
            pixel_spacing=(between_rows, between_columns) if between_rows > 0 and between_columns > 0 else None,
            rows=int(rows),
            columns=int(columns),
            frame_of_reference_uid=instance.first("FrameOfReferenceUID"),
            localizer=len(image_type) > 2 and image_type[2] == "LOCALIZER",
        )


def _whole(arrived: int, expected_count: int | None, report: StackReport) -> str:
    words = count(arrived, "instance")
    if report.kept:
        words += ", no slice missing between them"
    if expected_count is not None:
        words += f", the PACS has {expected_count}"
    return words


def _missing(report: StackReport, arrived: int, expected_count: int | None) -> str:
    words = []
    if report.missing_count:
        words.append(f"{count(report.missing_count, 'slice')} missing ({places(report.gaps)})")
    if expected_count is not None:
        words.append(f"{arrived} of {count(expected_count, 'instance')} received")
    return "; ".join(words)
