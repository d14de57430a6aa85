import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, SecondaryCaptureImageStorage

from dicom_node.deliver.outcome import Stored
from dicom_node.demo.archive import Archive
from dicom_node.demo.pacs import EmbeddedPacs
from dicom_node.errors import PermanentError
from tests.pacs_servers import program, storescp

STUDY = "1.2.826.0.1.3680043.8.498.5"


def instance(number: int, series: int = 1, **changes: str) -> Dataset:
    made = Dataset()
    made.SOPClassUID = SecondaryCaptureImageStorage
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, f"{STUDY}.{series}"
    made.SOPInstanceUID = f"{STUDY}.{series}.{number}"
    made.PatientID, made.Modality, made.AccessionNumber = "TEST", "OT", "A1"
    made.Rows = made.Columns = 8
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = np.arange(64, dtype=np.uint8).tobytes()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    return made


def part10(dataset: Dataset) -> bytes:
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def query(level: str, **keys: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    held = Archive(tmp_path / "archive")
    for series, number in [(1, 1), (1, 2), (2, 1)]:
        held.add(part10(instance(number, series)))
    return held


def test_a_file_is_kept_byte_for_byte_by_study_and_series(archive: Archive) -> None:
    content = part10(instance(9))
    path = archive.add(content)
    assert path.relative_to(archive.directory).parts == (STUDY, f"{STUDY}.1", f"{STUDY}.1.9.dcm")
    assert path.read_bytes() == content


def test_what_was_kept_is_there_after_a_restart(archive: Archive) -> None:
    again = Archive(archive.directory)
    assert again.paths() == archive.paths()
    assert again.holds(f"{STUDY}.2.1")


def test_uids_that_are_none_lead_to_no_path(archive: Archive) -> None:
    with pytest.raises(PermanentError):
        archive.add(part10(instance(3, StudyInstanceUID="")))


def test_a_series_is_found_with_its_number_of_instances(archive: Archive) -> None:
    wanted = query("SERIES", StudyInstanceUID=STUDY, SeriesInstanceUID="", NumberOfSeriesRelatedInstances="")
    counts = {a.SeriesInstanceUID: a.NumberOfSeriesRelatedInstances for a in archive.find(wanted)}
    assert counts == {f"{STUDY}.1": 2, f"{STUDY}.2": 1}


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"AccessionNumber": "A1"}, 1),
        ({"AccessionNumber": "A*"}, 1),
        ({"AccessionNumber": "A[1]"}, 0),
        ({"AccessionNumber": "B?"}, 0),
        ({"StudyInstanceUID": STUDY + "\\1.2.3"}, 1),
        ({}, 1),
    ],
)
def test_a_study_is_matched_by_value_wild_card_and_list(archive: Archive, keys: dict[str, str], count: int) -> None:
    assert len(list(archive.find(query("STUDY", **keys)))) == count


@pytest.mark.dcmtk
def test_a_study_sent_by_dcmtk_is_forwarded_as_it_came(tmp_path: Path) -> None:
    compressed = instance(1)
    compressed.compress(RLELossless)
    compressed.SOPInstanceUID = f"{STUDY}.1.1"
    files = [tmp_path / "rle.dcm", tmp_path / "native.dcm"]
    files[0].write_bytes(part10(compressed))
    files[1].write_bytes(part10(instance(2)))
    with EmbeddedPacs(tmp_path / "pacs") as pacs, storescp(tmp_path / "scp", "+xa", "+B", ae_title="NODE") as node:
        for path, syntax in zip(files, ("-xr", "-xe"), strict=True):
            command = [program("storescu"), "-R", syntax, "-aec", pacs.ae_title, "127.0.0.1", str(pacs.port), str(path)]
            subprocess.run(command, check=True, timeout=60)
        sent = pacs.archive.paths()
        assert list(pacs.push(sent, "127.0.0.1", node.port, node.ae_title)) == [Stored(0)] * 2
        stored = {dcmread(p).SOPInstanceUID: dcmread(p) for p in node.files()}
    assert stored[f"{STUDY}.1.1"] == compressed
    assert stored[f"{STUDY}.1.1"].file_meta.TransferSyntaxUID == RLELossless
    assert stored[f"{STUDY}.1.2"] == dcmread(files[1])


def test_the_pacs_stops_and_starts_again_with_what_it_held(tmp_path: Path) -> None:
    with EmbeddedPacs(tmp_path / "pacs") as pacs:
        pacs.archive.add(part10(instance(1)))
        port = pacs.port
    with EmbeddedPacs(tmp_path / "pacs", port=port) as again:
        assert again.archive.holds(f"{STUDY}.1.1")
