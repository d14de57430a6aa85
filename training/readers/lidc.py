"""Lung nodules of the LIDC-IDRI collection: a CT series beside its XML, with the marks of up to four readers.

Each reader outlined each nodule of 3 mm or more and rated it. The marks of one nodule are found by their overlap, the mask is
what at least half of its readers outlined, and each rating is their mean.

Source: Armato et al., Medical Physics 38 (2011) 915; the XML schema of the collection (LidcReadMessage).
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from pydicom import dcmread
from scipy.sparse.csgraph import connected_components

from engine.api import Refusal
from engine.reading import read_series
from engine.volume import Volume
from training.errors import LabelError
from training.readers.labelled_case import LabelledCase, Lesion, pseudonym
from training.readers.outlines import fill

SHARE_OF_READERS = 0.5
_ANY = "{*}"


@dataclass(frozen=True)
class ReaderMark:
    """One nodule as one reader outlined it.

    Attributes:
        voxels: flat indices into the volume, ascending; a mask for each mark would fill the memory.
        ratings: subtlety, internalStructure, calcification, sphericity, margin, lobulation, spiculation, texture, malignancy.
    """

    reader: int
    voxels: Int[np.ndarray, "voxels"]
    ratings: dict[str, float]


def read_lidc_series(folder: Path) -> LabelledCase:
    """The CT series of a folder with the nodules of its XML, one label each.

    Raises:
        LabelError: there is not one XML with nodules of this series.
    """
    documents = sorted(folder.glob("*.xml"))
    images = sorted(folder.glob("*.dcm"))
    if len(documents) != 1 or not images:
        raise LabelError(f"{folder} holds {len(documents)} XML and {len(images)} .dcm files: one XML beside its CT is needed")
    try:
        volume = read_series(images)
    except Refusal as error:
        raise LabelError(f"{folder}: the series cannot be read: {error}") from error
    marks = list(marks_of_document(documents[0], volume))
    header = dcmread(images[0], stop_before_pixels=True)
    name = f"series-{str(header.SeriesInstanceUID)[-12:]}"
    patient = pseudonym(str(header.get("PatientID", "")) or str(header.StudyInstanceUID))
    groups = same_nodule(marks) if marks else []
    labels = np.zeros(volume.voxels.shape, np.uint8)
    for number, group in enumerate(groups, start=1):
        labels.ravel()[agreed_voxels(group)] = number
    lesions = tuple(_lesion(number, group) for number, group in enumerate(groups, start=1))
    structures = ("background", *(lesion.name for lesion in lesions))
    return LabelledCase(name, patient, volume.voxels, labels, volume.affine, volume.modality, structures, lesions)


def marks_of_document(path: Path, volume: Volume) -> Iterator[ReaderMark]:
    """Every outlined and rated nodule of every reader; those under 3 mm are points without ratings and are left out.

    Raises:
        LabelError: the XML is damaged, or about another series.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - expat limits entity expansion since 2.4
    except ET.ParseError as error:
        raise LabelError(f"{path} is no XML: {error}") from error
    slices = {reference.sop_instance_uid: index for index, reference in enumerate(volume.slices)}
    for reader, session in enumerate(root.iterfind(f".//{_ANY}readingSession")):
        for nodule in session.iterfind(f".//{_ANY}unblindedReadNodule"):
            ratings = {_plain(each.tag): float(each.text or 0) for each in nodule.iterfind(f"{_ANY}characteristics/*")}
            voxels = _voxels(nodule, slices, volume.voxels.shape, path)
            if ratings and len(voxels):
                yield ReaderMark(reader, voxels, ratings)


def same_nodule(marks: Sequence[ReaderMark]) -> list[list[ReaderMark]]:
    """Marks grouped by nodule: those that share a voxel belong together."""
    touches = np.array([[bool(np.isin(one.voxels, other.voxels).any()) for other in marks] for one in marks])
    count, group = connected_components(touches, directed=False)
    return [[mark for mark, number in zip(marks, group, strict=True) if number == wanted] for wanted in range(count)]


def agreed_voxels(group: Sequence[ReaderMark]) -> Int[np.ndarray, "voxels"]:
    """What at least half of the readers who marked the nodule outlined."""
    readers = sorted({mark.reader for mark in group})
    outlined = [np.unique(np.concatenate([mark.voxels for mark in group if mark.reader == reader])) for reader in readers]
    voxels, votes = np.unique(np.concatenate(outlined), return_counts=True)
    return np.asarray(voxels[votes >= SHARE_OF_READERS * len(readers)])


def _lesion(number: int, group: Sequence[ReaderMark]) -> Lesion:
    names = sorted({name for mark in group for name in mark.ratings})
    ratings = {name: float(np.mean([mark.ratings[name] for mark in group if name in mark.ratings])) for name in names}
    return Lesion(f"nodule {number}", number, ratings, len({mark.reader for mark in group}))


def _voxels(nodule: ET.Element, slices: dict[str, int], shape: tuple[int, ...], path: Path) -> Int[np.ndarray, "voxels"]:
    """Outlines run through the first pixels outside the nodule; those with inclusion FALSE cut holes."""
    planes: dict[int, dict[bool, np.ndarray]] = {}
    for region in nodule.iterfind(f"{_ANY}roi"):
        uid = region.findtext(f"{_ANY}imageSOP_UID", "").strip()
        if uid not in slices:
            raise LabelError(f"{path} outlines an image that is not in the series: put the XML beside its own series")
        points = np.array([_row_column(edge) for edge in region.iterfind(f"{_ANY}edgeMap")])
        if len(points) < 3:
            continue
        filled = fill(points.astype(float), shape[1], shape[2])
        filled[tuple(points.T)] = False
        hole = region.findtext(f"{_ANY}inclusion", "TRUE").strip().upper() == "FALSE"
        plane = planes.setdefault(slices[uid], {kind: np.zeros(shape[1:], bool) for kind in (True, False)})
        plane[hole] |= filled
    found = [index * shape[1] * shape[2] + np.flatnonzero(plane[False] & ~plane[True]) for index, plane in planes.items()]
    return np.sort(np.concatenate(found)) if found else np.zeros(0, int)


def _row_column(edge: ET.Element) -> tuple[int, int]:
    return int(edge.findtext(f"{_ANY}yCoord", "0")), int(edge.findtext(f"{_ANY}xCoord", "0"))


def _plain(tag: str) -> str:
    """Without the namespace."""
    return tag.rpartition("}")[2]
