"""A synthetic chest radiograph as a CR, DX or MG file; bright bones, dark lungs, a bright spot of known place."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom.uid as uids
from pydicom.dataset import Dataset, FileMetaDataset

CLASSES = {
    "CR": uids.ComputedRadiographyImageStorage,
    "DX": uids.DigitalXRayImageStorageForPresentation,
    "MG": uids.DigitalMammographyXRayImageStorageForPresentation,
}
SPOT = (30, 40)
"""Row and column of the bright spot's centre."""
LARGEST = 4095


def radiograph(rows: int = 96, columns: int = 80, *, spot: bool = True) -> np.ndarray:
    """Values of 12 bits [row, column], large is bright."""
    y, x = np.mgrid[:rows, :columns]
    lungs = sum(
        np.exp(-(((x - columns * c) / (columns * 0.14)) ** 4) - (((y - rows * 0.5) / (rows * 0.36)) ** 4)) for c in (0.28, 0.72)
    )
    image = 2600 - 1800 * lungs + 150 * np.sin(y / 3)
    if spot:
        image = image + 900 * np.exp(-((y - SPOT[0]) ** 2 + (x - SPOT[1]) ** 2) / 18)
    return np.asarray(image.clip(0, LARGEST), np.uint16)


def write_projection(
    path: Path, *, modality: str = "DX", number: int = 1, spot: bool = True, frames: int = 1, **edit: Any
) -> np.ndarray:
    """Write one instance; `edit` sets attributes, None removes one. The values that a display would show, large is bright."""
    image = radiograph(spot=spot)
    dataset = _patient(modality, number)
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, edit.pop("PhotometricInterpretation", "MONOCHROME2")
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    stored = LARGEST - image if dataset.PhotometricInterpretation == "MONOCHROME1" else image
    dataset.PresentationLUTShape = "INVERSE" if dataset.PhotometricInterpretation == "MONOCHROME1" else "IDENTITY"
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = np.stack([stored] * frames).astype("<u2").tobytes()
    for keyword, value in edit.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return image


def _patient(modality: str, number: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CLASSES[modality], f"1.2.826.0.1.3680043.8.498.7.{number}"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.5", "1.2.826.0.1.3680043.8.498.6"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = (
        "Projection^Test",
        "P1",
        "19600101",
        "F",
    )
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.StudyID = "20240101", "120000", "A7", "1"
    dataset.SeriesDate, dataset.SeriesTime, dataset.ContentDate, dataset.ContentTime = (
        "20240101",
        "120000",
        "20240101",
        "120000",
    )
    dataset.ReferringPhysicianName, dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "", modality, 2, number
    dataset.Manufacturer, dataset.BodyPartExamined, dataset.ViewPosition = "Example", "CHEST", "PA"
    dataset.ImageType, dataset.PatientOrientation = ["ORIGINAL", "PRIMARY"], ["L", "F"]
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [2.0, 2.0]
    dataset.ImageLaterality, dataset.BurnedInAnnotation = "U", "NO"
    if modality != "CR":
        dataset.PresentationIntentType, dataset.PixelIntensityRelationship = "FOR PRESENTATION", "LOG"
        dataset.PixelIntensityRelationshipSign = 1
    return dataset
