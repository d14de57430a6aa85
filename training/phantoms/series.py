"""A phantom as a CT series: `python -m training.phantoms.series FOLDER` writes one Part 10 file per slice."""

import argparse
import hashlib
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from training.phantoms.thorax import ThoraxPhantom, thorax

SPACING_MM = (2.5, 0.75, 0.75)
SHAPE = (128, 512, 512)
DATE, TIME = "20240115", "103000"


def write_series(phantom: ThoraxPhantom, folder: Path, name: str) -> list[Path]:
    """Write an axial, head-first supine CT of the phantom; UIDs derive from the name, so that a rerun gives the same files.

    Args:
        phantom: what to write; the slice index grows towards the head.
        folder: made if missing.
        name: stands in UIDs, Patient ID and Accession Number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, pixels in enumerate(phantom.hu):
        dataset = _slice(phantom, index, name)
        dataset.PixelData = (np.clip(pixels, -1024, 3071) + 1024).astype("<u2").tobytes()
        path = folder / f"CT{index:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _slice(phantom: ThoraxPhantom, index: int, name: str) -> Dataset:
    dataset = _patient_and_study(name)
    dz, dy, dx = phantom.spacing_mm
    slices, rows, columns = phantom.hu.shape
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = _uid(name, "slice", index)
    dataset.SeriesInstanceUID = _uid(name, "series")
    dataset.FrameOfReferenceUID = _uid(name, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber, dataset.AcquisitionNumber = "CT", 2, slices - index, 1
    dataset.SeriesDescription, dataset.BodyPartExamined, dataset.PatientPosition = "Thorax 2.5 B40f", "CHEST", "HFS"
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = DATE
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = TIME
    dataset.Manufacturer, dataset.ManufacturerModelName = "Synthetic", "Thorax phantom"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.KVP, dataset.ConvolutionKernel, dataset.SliceThickness = 120, "B40f", dz
    dataset.ImagePositionPatient = [-dx * (columns - 1) / 2, -dy * (rows - 1) / 2, dz * index]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [dy, dx]
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = -600, 1500
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _patient_and_study(name: str) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = "Phantom^Thorax", f"PHANTOM-{name}"
    dataset.PatientBirthDate, dataset.PatientSex = "19600101", "O"
    dataset.StudyInstanceUID, dataset.StudyID = _uid(name, "study"), "1"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyDescription = DATE, TIME, "CT thorax (synthetic)"
    dataset.AccessionNumber = _accession_number(name)
    dataset.ReferringPhysicianName = ""
    return dataset


def _accession_number(name: str) -> str:
    return f"DEMO{int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big'):010d}"


def _uid(*parts: object) -> str:
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a synthetic thorax CT as a DICOM series.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--slices", type=int, default=SHAPE[0])
    options = parser.parse_args()
    phantom = thorax(options.seed, SPACING_MM, (options.slices, *SHAPE[1:]), healthy=True)
    write_series(phantom, options.folder, f"seed-{options.seed}")


if __name__ == "__main__":
    main()
