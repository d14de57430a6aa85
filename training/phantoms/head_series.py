"""A head phantom as the MR series of one study: one Part 10 file per slice."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int16
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from training.phantoms.head import HeadPhantom

DATE, TIME = "20240116", "091500"


@dataclass(frozen=True, slots=True)
class Weighting:
    """What the header says of a sequence."""

    series_number: int
    series_description: str
    echo_time_ms: float
    repetition_time_ms: float
    inversion_time_ms: float | None
    scanning_sequence: tuple[str, ...]
    contrast_agent: str = ""


FLAIR = Weighting(3, "AX FLAIR", 120.0, 9000.0, 2500.0, ("SE", "IR"))
CONTRAST_T1 = Weighting(4, "AX T1 post contrast", 10.0, 600.0, None, ("SE",), "Gadolinium")


def write_study(phantom: HeadPhantom, folder: Path, name: str) -> dict[str, list[Path]]:
    """Write the phantom's FLAIR and contrast T1 as axial, head-first supine series of one study.

    UIDs derive from the name, so that a rerun gives the same files.

    Returns:
        The files by role: "flair" and "t1c".
    """
    images = {"flair": (phantom.flair, FLAIR), "t1c": (phantom.contrast_t1, CONTRAST_T1)}
    return {
        role: _write_series(image, phantom.spacing_mm, weighting, folder / role, name)
        for role, (image, weighting) in images.items()
    }


def _write_series(
    image: Int16[np.ndarray, "slices rows columns"],
    spacing_mm: tuple[float, float, float],
    weighting: Weighting,
    folder: Path,
    name: str,
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, pixels in enumerate(image):
        dataset = _patient_and_study(name)
        _place(dataset, index, image.shape, spacing_mm)
        _weigh(dataset, weighting, name)
        dataset.SOPInstanceUID = _uid(name, weighting.series_number, index)
        dataset.InstanceNumber = index + 1
        dataset.PixelData = pixels.astype("<u2").tobytes()
        path = folder / f"MR{index:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _patient_and_study(name: str) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = "Phantom^Head", f"PHANTOM-{name}"
    dataset.PatientBirthDate, dataset.PatientSex = "19600101", "O"
    dataset.StudyInstanceUID, dataset.StudyID = _uid(name, "study"), "1"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyDescription = DATE, TIME, "MR head (synthetic)"
    dataset.AccessionNumber = f"MR{int(hashlib.sha256(name.encode()).hexdigest()[:8], 16):010d}"
    dataset.ReferringPhysicianName = ""
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = _uid(name, "frame of reference"), ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "Synthetic", "Head phantom"
    return dataset


def _place(dataset: Dataset, index: int, shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> None:
    """Image plane and pixel format. Source: PS3.3 C.7.6.2, C.7.6.3."""
    (slices, rows, columns), (dz, dy, dx) = shape, spacing_mm
    dataset.ImagePositionPatient = [-dx * (columns - 1) / 2, -dy * (rows - 1) / 2, dz * (index - (slices - 1) / 2)]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness, dataset.SpacingBetweenSlices = [dy, dx], dz, dz
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0


def _weigh(dataset: Dataset, weighting: Weighting, name: str) -> None:
    """Series and sequence. Source: PS3.3 C.7.3.1, C.8.3.1."""
    dataset.SOPClassUID, dataset.Modality = MRImageStorage, "MR"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = _uid(name, weighting.series_number), weighting.series_number
    dataset.SeriesDescription, dataset.BodyPartExamined = weighting.series_description, "HEAD"
    dataset.PatientPosition, dataset.ImageType = "HFS", ["ORIGINAL", "PRIMARY", "M"]
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = DATE
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = TIME
    dataset.ScanningSequence, dataset.SequenceVariant = list(weighting.scanning_sequence), "SK"
    dataset.ScanOptions, dataset.MRAcquisitionType, dataset.EchoTrainLength = "", "2D", 16
    dataset.EchoTime, dataset.RepetitionTime = weighting.echo_time_ms, weighting.repetition_time_ms
    dataset.AcquisitionNumber = 1
    if weighting.inversion_time_ms is not None:
        dataset.InversionTime = weighting.inversion_time_ms
    if weighting.contrast_agent:
        dataset.ContrastBolusAgent = weighting.contrast_agent
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _uid(*parts: object) -> str:
    digest = hashlib.sha256("\x1f".join(map(str, ("head", *parts))).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
