from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node.deliver.send import Parcel

STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.1.1"

MakeParcel = Callable[..., Parcel]


@pytest.fixture
def make_parcel(tmp_path: Path) -> MakeParcel:
    """Writes small Secondary Capture instances, Explicit VR Little Endian; the number makes UID and content."""

    def make(number: int = 1, sop_class_uid: str = SecondaryCaptureImageStorage, columns: int = 16, rows: int = 16) -> Parcel:
        instance = Dataset()
        instance.SpecificCharacterSet = "ISO_IR 192"
        instance.SOPClassUID = sop_class_uid
        instance.SOPInstanceUID = f"{SERIES}.{number}"
        instance.StudyInstanceUID, instance.SeriesInstanceUID = STUDY, SERIES
        instance.PatientName, instance.PatientID = "Тест^山田", "TEST"
        instance.StudyDate = instance.StudyTime = instance.AccessionNumber = instance.StudyID = ""
        instance.PatientBirthDate = instance.PatientSex = instance.ReferringPhysicianName = ""
        instance.Modality, instance.SeriesNumber, instance.InstanceNumber = "OT", 1, number
        instance.ConversionType = "WSD"
        instance.Rows, instance.Columns = rows, columns
        instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
        instance.BitsAllocated, instance.BitsStored, instance.HighBit, instance.PixelRepresentation = 16, 12, 11, 0
        pixels = np.random.default_rng(number).integers(0, 4096, (rows, columns), dtype="<u2")
        instance.PixelData = pixels.tobytes()
        instance.file_meta = FileMetaDataset()
        instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = tmp_path / f"instance-{number}.dcm"
        instance.save_as(path, enforce_file_format=True)
        return Parcel(path, sop_class_uid, instance.SOPInstanceUID)

    return make
