"""The quick way to a header says what pydicom says, or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

import dicom_node.headers
from dicom_node.elements import CutOffError, Encoding, elements
from dicom_node.errors import UnreadableInstanceError
from dicom_node.headers import read_instance
from dicom_node.model import Instance
from dicom_node.plain_header import read_plain_header

SERIES_DESCRIPTION = 0x0008_103E


@contextmanager
def by_pydicom_alone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dicom_node.headers, "read_plain_header", lambda _file, _wanted: None)
        yield


def read(path: Path) -> Instance | str:
    try:
        return read_instance(path, received_at=1.0)
    except UnreadableInstanceError as error:
        return str(error)


def example(syntax: str, *, undefined_length: bool = True) -> bytes:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "24627-2", "LN", "CT Chest"
    procedures = Sequence([code])
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    dataset.Modality, dataset.SeriesDescription = "CT", "Größe"
    dataset.ProcedureCodeSequence = procedures
    dataset["ProcedureCodeSequence"].is_undefined_length = undefined_length
    dataset.SliceThickness = "1.25"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [1, 2, 3], [1, 0, 0, 0, 1, 0]
    dataset.Rows = dataset.Columns = 4
    dataset.PixelSpacing = [0.5, 0.5]
    dataset.BitsAllocated, dataset.PixelRepresentation, dataset.SamplesPerPixel = 16, 0, 1
    dataset.PixelData = bytes(32)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = (
        dataset.SOPClassUID,
        UID("1.2.3.4"),
    )
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("undefined_length", [True, False])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_it_reads_what_pydicom_reads(tmp_path: Path, syntax: str, undefined_length: bool) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(example(syntax, undefined_length=undefined_length))
    with path.open("rb") as file:
        assert read_plain_header(file, {SERIES_DESCRIPTION}) is not None
    quick = read(path)
    assert isinstance(quick, Instance)
    assert quick.attributes["SeriesDescription"] == ("Größe",)
    with by_pydicom_alone():
        assert read(path) == quick


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_what_is_not_plain_is_left_to_pydicom(tmp_path: Path, syntax: str) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(example(syntax))
    with path.open("rb") as file:
        assert read_plain_header(file, {SERIES_DESCRIPTION}) is None
    assert isinstance(read(path), Instance)


def test_it_agrees_with_pydicom_on_every_real_and_every_odd_file(odd_files: Path, chest_ct: Path) -> None:
    paths = [*odd_files.rglob("*.dcm"), *sorted(chest_ct.iterdir())[:5]]
    assert len(paths) > 50
    for path in paths:
        quick = read(path)
        with by_pydicom_alone():
            assert read(path) == quick, path.name


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    syntax=st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian]),
    changes=st.lists(st.tuples(st.integers(132, 1200), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4),
    end=st.integers(300, 2000),
)
def test_on_garbled_headers_it_agrees_with_pydicom_where_both_have_an_answer(
    tmp_path: Path, syntax: str, changes: list[tuple[int, bytes]], end: int
) -> None:
    content = bytearray(example(syntax))
    for place, new in changes:
        at = place % (len(content) - 4)
        content[at : at + len(new)] = new
    path = tmp_path / "x.dcm"
    path.write_bytes(content[:end])
    quick = read(path)
    with by_pydicom_alone():
        slow = read(path)
    if isinstance(quick, Instance) and isinstance(slow, Instance):
        assert quick == slow


@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_any_bytes_are_elements_or_cut_off(content: bytes, implicit_vr: bool, big_endian: bool) -> None:
    try:
        walked = list(elements(content, 0, Encoding(implicit_vr, big_endian)))
    except CutOffError:
        return
    assert all(start <= stop <= len(content) for _, _, start, stop, _ in walked)
