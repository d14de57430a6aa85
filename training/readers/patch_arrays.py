"""Patches around single findings: arrays of NumPy (npz), or folders of PNG slices."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from training.errors import LabelError
from training.readers.labelled_case import LabelledCase, Lesion, pseudonym

_PATIENT = re.compile(r"[^_-]+")
_NOT_RATINGS = {"volume", "volume_u8", "mask", "mask_packed", "names", "patients", "spacing_mm"}


def read_patch_arrays(path: Path, spacing_mm: tuple[float, float, float], modality: str = "CT") -> Iterator[LabelledCase]:
    """The patches of an npz file: patch-1 is the first.

    Its arrays: `volume` (or volume_u8) [patch, slice, row, column]; `mask` of the same shape, or `mask_packed` with bits packed
    along the columns; `names`; `patients`, else the part of a name before the first _ groups the patches; any further array
    with a number per patch is a rating.

    Raises:
        LabelError: the arrays are not there, or differ in length.
    """
    with np.load(path, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    images = found.get("volume", found.get("volume_u8"))
    if images is None or images.ndim != 4:
        raise LabelError(f"{path} has no array volume [patch, slice, row, column]; it has {', '.join(found)}")
    masks = _masks(found, images.shape, path)
    names = [str(name) for name in found.get("names", np.arange(len(images)))]
    patients = [str(patient) for patient in found["patients"]] if "patients" in found else [_patient(name) for name in names]
    ratings = {name: values for name, values in found.items() if name not in _NOT_RATINGS}
    for name, values in {**ratings, "mask": masks, "names": names, "patients": patients}.items():
        if len(values) != len(images):
            raise LabelError(f"{path}: {name} has {len(values)} entries for {len(images)} patches")
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        name = f"patch-{number + 1}"
        lesion = Lesion(name, 1, {rating: float(values[number]) for rating, values in ratings.items()})
        patient = pseudonym(patients[number])
        structures = ("background", "finding")
        yield LabelledCase(name, patient, image, mask, _affine(spacing_mm), modality, structures, (lesion,))


def read_png_stacks(folder: Path, spacing_mm: tuple[float, float, float], modality: str = "CT") -> Iterator[LabelledCase]:
    """Stacks of grey PNG slices in folders CLASS/NAME or CLASS/PATIENT/NAME; the class is that of the whole patch.

    Slices follow each other by the numbers in their names, and patch-1 is the first folder by name. Each case has one lesion
    with the rating "class", the index of its folder among the sorted ones.

    Raises:
        LabelError: there is no stack, or slices differ in size.
    """
    stacks = sorted({path.parent for path in folder.rglob("*.png") if len(path.relative_to(folder).parts) > 2})
    if not stacks:
        raise LabelError(f"{folder} holds no folders CLASS/NAME with PNG slices")
    classes = sorted({stack.relative_to(folder).parts[0] for stack in stacks})
    for number, stack in enumerate(stacks, start=1):
        kind, patient, *_ = stack.relative_to(folder).parts
        planes = [_grey(path) for path in sorted(stack.glob("*.png"), key=_number)]
        if len({plane.shape for plane in planes}) > 1:
            raise LabelError(f"{stack} holds slices of different size")
        image = np.stack(planes)
        lesion = Lesion(kind, 0, {"class": float(classes.index(kind))})
        labels, affine = np.zeros(image.shape, np.uint8), _affine(spacing_mm)
        yield LabelledCase(f"patch-{number}", pseudonym(patient), image, labels, affine, modality, ("background",), (lesion,))


def _masks(found: dict[str, np.ndarray], shape: tuple[int, ...], path: Path) -> np.ndarray:
    if "mask_packed" in found:
        masks = np.unpackbits(found["mask_packed"], axis=-1)[..., : shape[-1]]
    elif "mask" in found:
        masks = found["mask"].astype(np.uint8)
    else:
        raise LabelError(f"{path} has neither mask nor mask_packed")
    if masks.shape != shape:
        raise LabelError(f"{path}: the masks have shape {masks.shape}, the volumes {shape}")
    return masks


def _affine(spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Slices to the head, rows posterior, columns to the left."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing_mm)[::-1]
    return affine


def _patient(name: str) -> str:
    match = _PATIENT.match(name)
    return match[0] if match else name


def _grey(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("I"), np.int32).astype(np.int16)


def _number(path: Path) -> tuple[list[int], str]:
    return [int(digits) for digits in re.findall(r"\d+", path.stem)], path.stem
