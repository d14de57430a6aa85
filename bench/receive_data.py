"""Synthetic instances to send: CT of 512 x 512 x 16 bit, small MR, CT in JPEG-LS, and one multi-frame CT of 256 MiB.

Every instance is distinct, UIDs, position, noise and all; nobody's images.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import jpeg_ls  # type: ignore[import-untyped]
import numpy as np
from jaxtyping import UInt16
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless, MRImageStorage

from bench.receive_samples import Sample, dataset_offset, write_index

ROOT = "1.2.826.0.1.3680043.10.999"
HEAD_BYTES = 4096
LARGE_FRAMES = 512

Image = UInt16[np.ndarray, "rows columns"]


def make_data(directory: Path, counts: dict[str, int]) -> None:
    """So many instances of each kind, one folder for each, with an index."""
    for kind, count in counts.items():
        folder = directory / kind
        folder.mkdir(parents=True)
        samples = [_written(dataset, folder) for dataset in MAKERS[kind](count)]
        write_index(folder, samples)
        print(f"data: {count} of {kind}, {sum(sample.size_bytes for sample in samples) / count / 1000:.0f} KB each", flush=True)


def ct(count: int) -> Iterator[Dataset]:
    pictures = _noisy(_thorax(), 12.0)
    return (_ct_slice("1", index, next(pictures)) for index in range(count))


def ct_jpeg_ls(count: int) -> Iterator[Dataset]:
    pictures = _noisy(_thorax(), 8.0)
    for index in range(count):
        picture = next(pictures)
        dataset = _ct_slice("2", index, picture)
        dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
        dataset.PixelData = encapsulate([jpeg_ls.encode(picture).tobytes()])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        yield dataset


def mr(count: int) -> Iterator[Dataset]:
    y, x = np.mgrid[:128, :128]
    pictures = _noisy(800 * np.exp(-(((x - 64) / 40) ** 2 + ((y - 64) / 45) ** 2)), 20.0)
    for index in range(count):
        dataset = _common(MRImageStorage, "3", index, "MR")
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.MRAcquisitionType = "EP", "SK", "2D"
        dataset.RepetitionTime, dataset.EchoTime, dataset.MagneticFieldStrength = "6000", "90", "1.5"
        dataset.SliceThickness, dataset.PixelSpacing = "5", ["1.71875", "1.71875"]
        yield _with_pixels(dataset, next(pictures))


def large(count: int) -> Iterator[Dataset]:
    """Multi-frame instances; not valid Enhanced CT, which no receiver looks at."""
    pictures = _noisy(_thorax(), 12.0)
    for index in range(count):
        dataset = _common(EnhancedCTImageStorage, "4", index, "CT")
        dataset.NumberOfFrames = LARGE_FRAMES
        pixels = b"".join(next(pictures).tobytes() for _ in range(LARGE_FRAMES))
        yield _with_pixels(dataset, next(pictures), pixels)


MAKERS: dict[str, Callable[[int], Iterator[Dataset]]] = {"ct": ct, "ct-jpeg-ls": ct_jpeg_ls, "mr": mr, "large": large}


def _thorax() -> np.ndarray:
    y, x = np.mgrid[:512, :512]

    def ellipse(column: int, row: int, width: int, height: int) -> np.ndarray:
        inside: np.ndarray = ((x - column) / width) ** 2 + ((y - row) / height) ** 2 < 1
        return inside

    picture = np.full((512, 512), 24.0)
    picture[ellipse(256, 260, 210, 160)] = 1064
    picture[ellipse(165, 250, 75, 105) | ellipse(347, 250, 75, 105)] = 174
    picture[ellipse(256, 360, 28, 28)] = 1424
    return picture


def _noisy(picture: np.ndarray, sigma: float) -> Iterator[Image]:
    """The picture under noise that is never the same: one field of it, shifted and scaled."""
    random = np.random.default_rng(7)
    noise = random.normal(0, sigma, (picture.shape[0] * 2, picture.shape[1] * 2)).astype(np.float32)
    while True:
        row, column = (int(random.integers(size)) for size in picture.shape)
        cut = noise[row : row + picture.shape[0], column : column + picture.shape[1]]
        yield np.clip(picture + cut * random.uniform(0.8, 1.2), 0, 4095).astype(np.uint16)


def _ct_slice(series: str, index: int, picture: Image) -> Dataset:
    dataset = _common(CTImageStorage, series, index, "CT")
    dataset.KVP, dataset.XRayTubeCurrent, dataset.ConvolutionKernel = "120", "180", ["B31f", "3"]
    dataset.SliceThickness, dataset.PixelSpacing = "1", ["0.703125", "0.703125"]
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = ["40", "-600"], ["400", "1200"]
    return _with_pixels(dataset, picture)


def _with_pixels(dataset: Dataset, picture: Image, pixels: bytes = b"") -> Dataset:
    dataset.Rows, dataset.Columns = picture.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = pixels or picture.tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def _common(sop_class_uid: str, series: str, index: int, modality: str) -> Dataset:
    """The header that a scanner would write, private block and sequences included."""
    dataset = Dataset()
    study = f"{ROOT}.{series}"
    dataset.SpecificCharacterSet, dataset.Modality = "ISO_IR 100", modality
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, f"{study}.1.{index + 1}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, f"{study}.1", f"{study}.2"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20240115"
    dataset.StudyTime, dataset.SeriesTime, dataset.ContentTime = "101500", "101510.000000", "101512.000000"
    dataset.AccessionNumber, dataset.StudyID, dataset.SeriesNumber = "BENCH1", "1", int(series)
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = "Bench^Receive", "B1", "", "O"
    dataset.Manufacturer, dataset.InstitutionName, dataset.StationName = "Bench", "Bench Hospital", "STATION1"
    dataset.StudyDescription, dataset.SeriesDescription = "CT Thorax/Abdomen", "Thorax 1.0 B31f"
    dataset.ReferringPhysicianName, dataset.BodyPartExamined, dataset.PatientPosition = "", "CHEST", "HFS"
    dataset.InstanceNumber, dataset.AcquisitionNumber = index + 1, 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = (
        ["-180", "-180", str(-index)],
        ["1", "0", "0", "0", "1", "0"],
    )
    dataset.ProcedureCodeSequence = Sequence([_code("77477000", "SCT", "Computed tomography")])
    dataset.SourceImageSequence = Sequence([_reference(sop_class_uid, f"{study}.3.{number}") for number in range(1, 4)])
    block = dataset.private_block(0x0029, "BENCH CSA HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x10, "OB", bytes(range(256)) * 16)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def _written(dataset: Dataset, folder: Path) -> Sample:
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    with path.open("rb") as file:
        offset = dataset_offset(file.read(HEAD_BYTES))
    return Sample(
        str(path),
        str(dataset.SOPClassUID),
        str(dataset.SOPInstanceUID),
        str(dataset.file_meta.TransferSyntaxUID),
        offset,
        path.stat().st_size - offset,
    )
