"""A source series with what was made of it, and what a viewer should show of the report."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from dicom_node.model import ResultKind
from tests.reported_series import reported_series

IMAGING_MEASUREMENTS, TRACKING_IDENTIFIER, TRACKING_UID, VOLUME = "126010", "112039", "112040", "118565006"


@dataclass(frozen=True)
class Measurement:
    """One finding of a report.

    Attributes:
        columns, rows: where its outline begins and ends on the cited slice, in pixels from the corner of the first pixel.
    """

    label: str
    volume_ml: float
    sop_instance_uid: str
    columns: tuple[float, float]
    rows: tuple[float, float]


@dataclass(frozen=True)
class Case:
    source: Path
    results: Path

    def files(self) -> list[Path]:
        return sorted(p for folder in (self.source, self.results) for p in folder.iterdir() if not p.name.endswith(".png"))

    def result(self, modality: str) -> Dataset:
        (found,) = (d for d in map(pydicom.dcmread, self.results.glob("*.dcm")) if modality == d.Modality)
        return found

    def headers(self) -> dict[str, Dataset]:
        """Of the source, by SOP Instance UID."""
        read = (pydicom.dcmread(p, stop_before_pixels=True) for p in self.source.iterdir())
        return {str(d.SOPInstanceUID): d for d in read}


def synthetic_case(directory: Path, variant: str) -> Case:
    """A series with both lungs and a nodule, and its results for one destination."""
    series = reported_series(directory / "source", variant, rows=128, slices=32)
    for result in series.report(directory / "results"):
        if result.kind is ResultKind.SR and result.rank:
            result.path.unlink()
    return Case(series.directory, directory / "results")


def measurements(report: Dataset) -> list[Measurement]:
    """In the order of the report; groups with one tracking UID are one finding."""
    findings: dict[str, list[Dataset]] = defaultdict(list)
    for group in _below(report, IMAGING_MEASUREMENTS):
        (tracking,) = (i.UID for i in group.ContentSequence if _concept(i) == TRACKING_UID)
        findings[str(tracking)] += group.ContentSequence
    return [_measurement(items) for items in findings.values()]


def _measurement(items: list[Dataset]) -> Measurement:
    region = next(i for i in items if i.ValueType == "SCOORD")
    points = np.reshape(region.GraphicData, (-1, 2))
    (columns, rows) = zip(points.min(axis=0).tolist(), points.max(axis=0).tolist(), strict=True)
    return Measurement(
        label=next(str(i.TextValue) for i in items if _concept(i) == TRACKING_IDENTIFIER),
        volume_ml=next(float(i.MeasuredValueSequence[0].NumericValue) for i in items if _concept(i) == VOLUME),
        sop_instance_uid=str(region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID),
        columns=columns,
        rows=rows,
    )


def largest_slices(seg: Dataset) -> dict[str, set[str]]:
    """By Segment Label the source slices (SOP Instance UIDs) on which the segment has most pixels."""
    labels = {int(s.SegmentNumber): str(s.SegmentLabel) for s in seg.SegmentSequence}
    areas: dict[str, dict[str, int]] = defaultdict(dict)
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        cited = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        areas[labels[number]][str(cited)] = int(np.count_nonzero(frame))
    return {label: {uid for uid, area in of.items() if area == max(of.values())} for label, of in areas.items()}


def _below(item: Dataset, concept: str) -> Iterator[Dataset]:
    for child in item.ContentSequence:
        if _concept(child) == concept:
            yield from child.ContentSequence


def _concept(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if "ConceptNameCodeSequence" in item else ""
