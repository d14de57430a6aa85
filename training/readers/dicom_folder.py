"""A folder of DICOM files, below it whatever there is: each image series with the RTSTRUCT, SEG or SR that is about it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from engine.api import Refusal
from engine.reading import read_series
from engine.volume import Volume
from training.errors import LabelError
from training.readers.labelled_case import LabelledCase, Lesion, label_map, pseudonym
from training.readers.rtstruct import masks_of_rtstruct
from training.readers.segmentation import masks_of_segmentation
from training.readers.structured_report import findings_of_report

IMAGES, RTSTRUCT, SEG, SR = ("CT", "MR", "PT"), "RTSTRUCT", "SEG", "SR"
Mask = Bool[np.ndarray, "slices rows columns"]


@dataclass(frozen=True)
class _Series:
    paths: tuple[Path, ...]
    header: Dataset
    sop_instance_uids: frozenset[str]


def read_dicom_folder(folder: Path) -> Iterator[LabelledCase]:
    """A case for each image series that something labels; a report comes before its SEG, that before an RTSTRUCT.

    Raises:
        LabelError: nothing is labelled, or labels do not fit their series.
    """
    images, labels = _sorted(folder)
    found = False
    for series in images:
        about = [label for label in labels if _is_about(label, series)]
        if about:
            found = True
            yield _case(series, about)
    if not found:
        raise LabelError(
            f"{folder}: {len(images)} image series and {len(labels)} objects with labels, but none is about another: "
            "put the images beside the RTSTRUCT, SEG or SR that refers to them"
        )


def _sorted(folder: Path) -> tuple[list[_Series], list[Dataset]]:
    by_series: defaultdict[str, list[tuple[Path, Dataset]]] = defaultdict(list)
    labels: list[Dataset] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = dcmread(path, stop_before_pixels=True)
        except InvalidDicomError:
            continue
        modality = str(header.get("Modality", ""))
        if modality in IMAGES:
            by_series[str(header.SeriesInstanceUID)].append((path, header))
        elif modality in (RTSTRUCT, SEG, SR):
            labels.append(dcmread(path))
    return [_series(files) for files in by_series.values()], labels


def _series(files: Sequence[tuple[Path, Dataset]]) -> _Series:
    paths, headers = zip(*files, strict=True)
    return _Series(paths, headers[0], frozenset(str(header.SOPInstanceUID) for header in headers))


def _is_about(label: Dataset, series: _Series) -> bool:
    """Whether it refers to an instance of the series, or to the series as a whole."""
    uid = str(series.header.SeriesInstanceUID)
    return any(
        (element.keyword == "SeriesInstanceUID" and str(element.value) == uid and element is not label.get("SeriesInstanceUID"))
        or (element.keyword == "ReferencedSOPInstanceUID" and str(element.value) in series.sop_instance_uids)
        for element in label.iterall()
    )


def _case(series: _Series, about: Sequence[Dataset]) -> LabelledCase:
    try:
        volume = read_series(series.paths)
    except Refusal as error:
        raise LabelError(f"series {series.header.SeriesInstanceUID} cannot be read: {error}") from error
    masks, numbers = _labels(about, volume)
    name = f"series-{str(series.header.SeriesInstanceUID)[-12:]}"
    labels, structures = label_map(masks, name)
    lesions = tuple(Lesion(each, structures.index(each), values) for each, values in numbers.items())
    patient = pseudonym(str(series.header.get("PatientID", "")) or str(series.header.StudyInstanceUID))
    return LabelledCase(name, patient, volume.voxels, labels, volume.affine, volume.modality, structures, lesions)


def _labels(about: Sequence[Dataset], volume: Volume) -> tuple[dict[str, Mask], dict[str, dict[str, float]]]:
    """Masks by name, and the numbers that are known of some."""
    kinds = {kind: [label for label in about if str(label.Modality) == kind] for kind in (SR, SEG, RTSTRUCT)}
    findings = [finding for report in kinds[SR] for finding in findings_of_report(report, volume, kinds[SEG])]
    if findings:
        return {each.name: each.mask for each in findings}, {each.name: dict(each.numbers) for each in findings}
    read = masks_of_segmentation if kinds[SEG] else masks_of_rtstruct
    masks: dict[str, Mask] = {}
    for label in kinds[SEG] or kinds[RTSTRUCT]:
        masks |= read(label, volume)
    if not masks:
        raise LabelError("the report has no measurement group with an outline or a segment: it cannot be learnt from")
    return masks, {}
