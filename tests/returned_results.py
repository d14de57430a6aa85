"""What a PACS holds after the node has answered: results as files for the judges, as masks, as words and numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from tests.conformance.judges import judge
from tests.node_process import Node
from tests.synthetic_ct import SyntheticSeries

VOLUME = "118565006"  # SCT
PLACE_TOLERANCE_MM = 1e-3


@dataclass(frozen=True)
class Returned:
    """The results of one study: its SEG and its SR, of which a study of one series has one each; captures and maps beside."""

    segs: tuple[Dataset, ...]
    reports: tuple[Dataset, ...]
    others: tuple[Dataset, ...] = ()

    @property
    def seg(self) -> Dataset:
        (seg,) = self.segs
        return seg

    @property
    def report(self) -> Dataset:
        (report,) = self.reports
        return report

    def write(self, directory: Path) -> Path:
        """As files below a folder, for the judges."""
        directory.mkdir(parents=True, exist_ok=True)
        for dataset in (*self.segs, *self.reports, *self.others):
            dataset.save_as(directory / f"{dataset.Modality}-{dataset.SOPInstanceUID}.dcm")
        return directory


def returned(datasets: Sequence[Dataset], study_instance_uid: str, ours: Node | None = None) -> Returned:
    """Of everything that a PACS holds the results of one study; of those not ours (a vendor's SEG) only what `ours` made."""
    made = None if ours is None else own_files(ours)
    found = [
        d for d in datasets if study_instance_uid == d.StudyInstanceUID and (made is None or str(d.SOPInstanceUID) in made)
    ]
    return Returned(*(tuple(d for d in found if modality == d.Modality) for modality in ("SEG", "SR", "OT")))


def own_files(node: Node) -> dict[str, Path]:
    """The node's own files of its current results, by SOP Instance UID."""
    with node.ledger() as ledger:
        studies = {job.study_instance_uid for job in ledger.jobs.find()}
        told = [why for uid in sorted(studies) for why in ledger.views.why(uid)]
    return {r.sop_instance_uid: r.path for why in told for s in why.series for job in s.jobs for r in job.results}


def accept(source: Path, results: Returned, directory: Path) -> None:
    """The judges find nothing wrong."""
    verdict = judge(source, results.write(directory))
    assert verdict.accepted, verdict.text


def masks(seg: Dataset, series: SyntheticSeries) -> dict[str, np.ndarray]:
    """By Segment Label, on the grid of the source: [slice, row, column], slices in the order of the truth.

    Every frame must lie exactly on a source slice.
    """
    labels = {int(s.SegmentNumber): str(s.SegmentLabel) for s in seg.SegmentSequence}
    found = {label: np.zeros(series.voxels.shape, bool) for label in labels.values()}
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        distances = np.linalg.norm(series.positions_mm - place, axis=1)
        assert distances.min() < PLACE_TOLERANCE_MM
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        found[labels[number]][int(distances.argmin())] |= frame > 0
    return found


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def volumes_ml(report: Dataset) -> list[float]:
    """Measured volumes, in the order of the measurement groups."""
    items = [i for i in _items(report) if _concept(i) == VOLUME and i.ValueType == "NUM"]
    assert all(i.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "ml" for i in items)
    return [float(i.MeasuredValueSequence[0].NumericValue) for i in items]


def words(report: Dataset) -> str:
    """All texts and code meanings of a report."""
    values = (i.get("TextValue") or _meaning(i) for i in _items(report))
    return "\n".join(str(value) for value in values if value)


def _items(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence", []):
        yield from _items(child)


def _concept(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if "ConceptNameCodeSequence" in item else ""


def _meaning(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeMeaning) if "ConceptCodeSequence" in item else ""


def read_all(paths: Sequence[Path]) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in paths]
