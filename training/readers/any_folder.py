"""Labelled examinations of whatever form a folder has."""

from collections.abc import Iterator
from pathlib import Path

from training.errors import LabelError
from training.readers.dicom_folder import read_dicom_folder
from training.readers.labelled_case import LabelledCase
from training.readers.lidc import read_lidc_series
from training.readers.nifti import read_nifti_folder
from training.readers.nnunet import read_nnunet_folder


def read_folder(folder: Path, modality: str) -> Iterator[LabelledCase]:
    """Whole examinations: nnU-Net (dataset.json), NIfTI pairs (images, labels), LIDC (XML beside .dcm), else DICOM.

    Args:
        folder: whose own files tell which form it is.
        modality: of NIfTI pairs, which do not say it.

    Raises:
        LabelError: the folder can be read in no form.
    """
    if not folder.is_dir():
        raise LabelError(f"{folder} is no folder of labelled examinations")
    if (folder / "dataset.json").is_file():
        return read_nnunet_folder(folder)
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return read_nifti_folder(folder, modality)
    series = sorted({document.parent for document in folder.rglob("*.xml") if next(document.parent.glob("*.dcm"), None)})
    return (read_lidc_series(each) for each in series) if series else read_dicom_folder(folder)
