"""Labelled data of any form that training/readers knows, as cases to evaluate on."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.errors import TrainingError
from training.evaluation.cases import LabelledVolume, attributes_of, lesions_of
from training.evaluation.headers import header_attributes
from training.metrics.detection import Lesion
from training.readers.any_folder import read_folder
from training.readers.labelled_case import LabelledCase, as_volume
from training.readers.labelled_case import Lesion as KnownLesion
from training.readers.patch_arrays import read_patch_arrays, read_png_stacks

SINGLE_FINDINGS = ("lesion", "nodule")
"""Structures whose connected parts are lesions of their own, unless the labels number them."""
LIDC_RATING, READERS_TO_SCORE = "subtlety", 3
"""Of LIDC's nodules only those that three of four readers outlined are scored; the others count neither way (LUNA16)."""


@dataclass(frozen=True)
class DataWords:
    """What the files do not say.

    Attributes:
        labels: a label's number or name in the data -> the engine's names of the structures that it is part of: a lesion of
            the liver is liver too.
        roles: role of the engine -> channel of the image; channel 0 is the engine's own series.
        modality: of NIfTI files.
        spacing_mm: of patches.
        window: what 0 and 255 of patches with eight bits stand for.
    """

    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    roles: Mapping[str, int] = field(default_factory=dict)
    modality: str = "CT"
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    window: tuple[float, float] | None = None


def holds_patches(path: Path) -> bool:
    """Whether the data are patches around single findings: an npz file, or PNG slices."""
    return path.suffix == ".npz" or (path.is_dir() and next(path.rglob("*.png"), None) is not None)


def read_patches(path: Path, words: DataWords) -> Iterator[LabelledCase]:
    """Patches around single findings.

    Raises:
        training.errors.TrainingError: they cannot be read.
    """
    read = read_patch_arrays if path.suffix == ".npz" else read_png_stacks
    return read(path, words.spacing_mm)


def volumes_of(path: Path, words: DataWords) -> Iterator[LabelledVolume]:
    """Every case with its structures under the engine's names.

    Raises:
        training.errors.TrainingError: the data cannot be read.
    """
    known = header_attributes(path)
    for case in read_folder(path, words.modality):
        yield as_labelled_volume(case, words, known.get(case.name, {}))


def as_labelled_volume(case: LabelledCase, words: DataWords, attributes: Mapping[str, str]) -> LabelledVolume:
    """One case; labels "nodule 1" and "nodule 2" become two lesions of the structure "nodule".

    Raises:
        training.errors.TrainingError: a label was told twice, or the case cannot be read.
    """
    volume = case.volume()
    labels = as_volume(case.labels, case.affine, case.modality, case.name).voxels
    numbers: dict[str, list[int]] = {}
    for number, name in enumerate(case.structures[1:], start=1):
        for structure in _structures(number, name, words.labels):
            numbers.setdefault(structure, []).append(number)
    truth = {structure: np.isin(labels, own) for structure, own in numbers.items()}
    for structure in {each for told in words.labels.values() for each in told} - truth.keys():
        truth[structure] = np.zeros(labels.shape, bool)
    lesions = {
        structure: _lesions(case, labels, numbers.get(structure, []), volume.affine)
        for structure in truth
        if structure in SINGLE_FINDINGS
    }
    return LabelledVolume(
        key=case.name,
        patient=case.patient,
        volume=volume,
        truth=truth,
        lesions=lesions,
        companions={role: case.volume(channel) for role, channel in words.roles.items()},
        attributes={**attributes_of(volume), **attributes},
    )


def _structures(number: int, name: str, labels: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The engine's names: as told, else the label's own name without its number."""
    if str(number) in labels and name in labels:
        raise TrainingError(f"--label tells of {name!r} by its name and by its number {number}: leave one of them out")
    told = labels.get(str(number), labels.get(name, ()))
    return told or (re.sub(r"-\d+$", "", name.strip().lower().replace(" ", "-")),)


def _lesions(case: LabelledCase, labels: np.ndarray, numbers: Sequence[int], affine: np.ndarray) -> tuple[Lesion, ...]:
    known = {lesion.label: lesion for lesion in case.lesions}
    found: list[Lesion] = []
    for number in numbers:
        mask = labels == number
        if not mask.any():
            continue
        if number not in known:
            found += lesions_of(mask, affine)
            continue
        largest = max(lesions_of(mask, affine), key=lambda lesion: lesion.diameter_mm)
        found.append(Lesion(largest.centre_mm, largest.diameter_mm, scored=_is_scored(known[number])))
    return tuple(found)


def _is_scored(lesion: KnownLesion) -> bool:
    return LIDC_RATING not in lesion.ratings or lesion.readers >= READERS_TO_SCORE
