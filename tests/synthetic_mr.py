"""Two MR series of one study on one grid, made of a synthetic CT: FLAIR, and T1 after contrast."""

from pathlib import Path

import numpy as np
import pydicom
import pydicom.uid as uids

from tests.synthetic_ct import write_ct

CT_ONLY = ("RescaleType", "KVP", "ConvolutionKernel", "PixelPaddingValue", "BodyPartExamined")


def write_mr_pair(directory: Path, *, slices: int = 20, rows: int = 64) -> dict[str, list[Path]]:
    """Files by series: "flair" and "t1c"."""
    made = write_ct(directory / "ct", "axial", slices=slices, rows=rows)
    written: dict[str, list[Path]] = {"flair": [], "t1c": []}
    for number, (name, words) in enumerate((("flair", "FLAIR axial"), ("t1c", "T1 axial +C")), 1):
        (directory / name).mkdir()
        for path in made.paths:
            dataset = pydicom.dcmread(path)
            for keyword in CT_ONLY:
                dataset.pop(keyword, None)
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uids.MRImageStorage
            dataset.Modality, dataset.SeriesDescription, dataset.SeriesNumber = "MR", words, number
            dataset.SeriesInstanceUID = f"{made.series_instance_uid}.{number}"[-64:].lstrip(".")
            dataset.SOPInstanceUID = _derived(dataset.SOPInstanceUID, number)
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "NONE", ""
            dataset.MRAcquisitionType, dataset.EchoTime, dataset.EchoTrainLength = "2D", 100 if name == "flair" else 10, 1
            dataset.RepetitionTime = 9000 if name == "flair" else 500
            stored = dataset.pixel_array.astype(np.int32)
            values = stored - stored.min()
            dataset.PixelData = (values if name == "flair" else values[::1] // 2).astype(np.uint16).tobytes()
            dataset.PixelRepresentation, dataset.RescaleIntercept, dataset.RescaleSlope = 0, 0, 1
            target = directory / name / path.name
            dataset.save_as(target)
            written[name].append(target)
    return written


def _derived(uid: str, number: int) -> uids.UID:
    return uids.UID(f"2.25.{int(uid.rpartition('.')[2]) // 10 * 10 + number}")
