"""NIfTI (and NRRD, MHA) pairs: `images/NAME.nii.gz` beside `labels/NAME.nii.gz`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name that everybody uses
from jaxtyping import Float64

from training.errors import LabelError
from training.readers.labelled_case import MOST_LABELS, LabelledCase
from training.readers.patients import patients_of

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
_TOLERANCE_MM = 0.05


def read_nifti_folder(folder: Path, modality: str, structures: Sequence[str] = ()) -> Iterator[LabelledCase]:
    """The pairs of a folder: case-1 is the first by name. Whose they are says patients.csv, where there is one.

    Args:
        folder: holds `images` and `labels`.
        modality: of all, which the files do not say (CT, MR).
        structures: name of each label, background first; "label 1" and so on where they are not given.

    Raises:
        LabelError: an image has no labels, or they do not fit, or patients.csv lacks an image.
    """
    images = _files(folder / "images")
    if not images:
        raise LabelError(f"{folder / 'images'} holds no file that ends with {', '.join(ENDINGS)}")
    labels = _files(folder / "labels")
    patients = patients_of(folder, tuple(images), ENDINGS)
    for number, ((name, path), patient) in enumerate(zip(images.items(), patients, strict=True), start=1):
        if name not in labels:
            raise LabelError(f"{folder / 'labels'} has no labels for {path.name}: add them, or take the image away")
        yield read_pair([path], labels[name], modality, structures, name=f"case-{number}", patient=patient)


def read_pair(
    images: Sequence[Path], labels: Path, modality: str, structures: Sequence[str], *, name: str, patient: str
) -> LabelledCase:
    """A case of one image per channel and one file of labels, all on one grid.

    Args:
        images: one for each channel.
        labels: on the same grid.
        modality: which the files do not say.
        structures: name of each label, background first; "label 1" and so on if empty.
        name: of the case, not that of its files.
        patient: a pseudonym.

    Raises:
        LabelError: a file cannot be read, the grids differ, or a label is no whole number of at most 255.
    """
    channels = [_read(path) for path in images]
    truth, affine = _read(labels)
    for path, (values, other) in zip(images, channels, strict=True):
        if values.shape != truth.shape or not np.allclose(other, affine, atol=_TOLERANCE_MM):
            raise LabelError(f"{labels} lies on another grid than {path.name}: resample one to the other")
    if truth.min() < 0 or truth.max() > MOST_LABELS or not np.array_equal(truth, np.rint(truth)):
        raise LabelError(f"{labels} holds values that are no labels: whole numbers from 0 to {MOST_LABELS} are")
    count = int(truth.max())
    names = tuple(structures) or ("background", *(f"label {number}" for number in range(1, count + 1)))
    image = channels[0][0] if len(channels) == 1 else np.stack([values for values, _ in channels])
    return LabelledCase(name, patient, image, truth.astype(np.uint8), affine, modality, names)


def _read(path: Path) -> tuple[np.ndarray, Float64[np.ndarray, "4 4"]]:
    """Voxels [slice, row, column], and (slice, row, column, 1) -> LPS mm, which is what SimpleITK's directions are in."""
    try:
        image: Any = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise LabelError(f"{path} cannot be read: it is damaged, or no image") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise LabelError(f"{path} is no volume of single values: split channels and time points into files of their own")
    directions = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions[:, ::-1], image.GetOrigin()
    values = sitk.GetArrayFromImage(image)
    return values.astype(np.float32) if values.dtype == np.float64 else values, affine


def _files(folder: Path) -> dict[str, Path]:
    """Files by name without ending."""
    found = {}
    for path in sorted(folder.glob("*")):
        ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), None)
        if ending:
            found[path.name.removesuffix(ending)] = path
    return found
