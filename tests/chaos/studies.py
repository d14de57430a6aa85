"""Small studies to be sent: datasets as bytes, a function of their names alone."""

import random
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tests.chaos.wire import CT, MR

ROWS = 32
SPACING_MM = 8.0
AIR_HU, BODY_HU = -1000, 40
UID_ROOT = "1.2.826.0.1.3680043.10.1999.8"
BULK_BYTES = ((0.7, 4_000), (0.95, 60_000), (1.0, 800_000))
"""Share of instances, and how large their bulk may be: most are small, some take many PDUs."""


@dataclass(frozen=True)
class Outgoing:
    """One instance that a sender holds."""

    sop_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    number: int
    count: int

    def dataset(self) -> bytes:
        """Explicit VR Little Endian, with bulk in a private element so that sizes differ."""
        chance = random.Random(self.sop_instance_uid)
        dataset = _header(self)
        dataset.private_block(0x0009, "CHAOS", create=True).add_new(0x10, "OB", chance.randbytes(_even_size(chance)))
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, dataset)
        return buffer.getvalue()


def series(name: str, count: int, *, with_job: bool) -> list[Outgoing]:
    """A series of so many slices; only of CT becomes a job. The name, made of digits and points, is unique."""
    uid = f"{UID_ROOT}.{name}"
    sop_class_uid = CT if with_job else MR
    return [Outgoing(f"{uid}.{number}", uid, sop_class_uid, number, count) for number in range(1, count + 1)]


def _even_size(chance: random.Random) -> int:
    share = chance.random()
    return 2 * chance.randrange(1, next(size for limit, size in BULK_BYTES if share <= limit) // 2)


def _header(outgoing: Outgoing) -> Dataset:
    dataset = Dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = outgoing.sop_class_uid, outgoing.sop_instance_uid
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20240115"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "100000"
    dataset.AccessionNumber, dataset.Modality = "CHAOS", "CT" if outgoing.sop_class_uid == CT else "MR"
    dataset.Manufacturer, dataset.SeriesDescription = "CHAOS", "small"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = "Chaos^Test", "CHAOS", "", ""
    dataset.StudyInstanceUID = f"{outgoing.series_instance_uid}.0"
    dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = outgoing.series_instance_uid, f"{outgoing.series_instance_uid}.9"
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", "1", outgoing.number
    dataset.SliceThickness, dataset.PixelSpacing = "8", [SPACING_MM, SPACING_MM]
    dataset.ImagePositionPatient = [0, 0, SPACING_MM * outgoing.number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = ROWS
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "HU"
    dataset.PixelData = _pixels().tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def _pixels() -> np.ndarray:
    """A body with a hole of air, for the engine to find."""
    plane = np.full((ROWS, ROWS), BODY_HU, "<i2")
    plane[8:16, 8:16] = AIR_HU
    return plane
