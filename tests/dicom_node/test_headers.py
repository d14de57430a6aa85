import io
import time
import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.errors import UnreadableInstanceError
from dicom_node.headers import ROUTING_KEYWORDS, read_instance
from tests.real_data import RealData

CT = UID("1.2.840.10008.5.1.4.1.1.2")
NAME = "Mustermann^Erika"


def code(value: str, scheme: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "in words"
    return item


def ct(transfer_syntax_uid: UID = ExplicitVRLittleEndian, sop_instance_uid: str = "1.2.3.4.5") -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT, sop_instance_uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.PatientName, dataset.PatientID = NAME, "4711"
    dataset.Modality, dataset.SeriesNumber, dataset.SliceThickness = "CT", "3", "1.50"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ProcedureCodeSequence = [code("24627-2", "LN"), code("CT1", "99LOCAL")]
    dataset.Rows, dataset.Columns, dataset.PixelSpacing = 512, 256, [0.5, 0.25]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-1, -2.5, 3], [1, 0, 0, 0, 1, 0]
    dataset.PixelData = b"\0" * 1024
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    dataset.file_meta.SourceApplicationEntityTitle = "SOURCE"
    dataset.file_meta.SendingApplicationEntityTitle = "SENDER"
    dataset.file_meta.ReceivingApplicationEntityTitle = "NODE"
    dataset.file_meta.SourcePresentationAddress = "10.0.0.7"
    return dataset


def written(path: Path, dataset: Dataset) -> Path:
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableInstanceError) as refused:
        read_instance(path, received_at=1.0)
    return str(refused.value)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_header_says_what_it_is_and_where_it_came_from(tmp_path: Path, syntax: UID) -> None:
    instance = read_instance(written(tmp_path / "a.dcm", ct(syntax)), received_at=7.0)
    assert (instance.sop_instance_uid, instance.sop_class_uid) == ("1.2.3.4.5", CT)
    assert (instance.study_instance_uid, instance.series_instance_uid) == ("1.2.3", "1.2.3.4")
    assert (instance.transfer_syntax_uid, instance.received_at) == (syntax, 7.0)
    assert (instance.calling_ae_title, instance.called_ae_title, instance.peer_address) == ("SENDER", "NODE", "10.0.0.7")
    assert instance.path == tmp_path / "a.dcm"
    assert instance.size_bytes == (tmp_path / "a.dcm").stat().st_size
    assert instance.planes == ((-1, -2.5, 3, 1, 0, 0, 0, 1, 0, 0.5, 0.25, 512, 256),)


def test_attributes_are_text_as_it_was_sent(tmp_path: Path) -> None:
    attributes = read_instance(written(tmp_path / "a.dcm", ct()), received_at=1.0).attributes
    assert attributes["ImageType"] == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert attributes["SliceThickness"] == ("1.50",)
    assert attributes["Rows"] == ("512",)
    assert attributes["ProcedureCodeSequence"] == ("24627-2^LN", "CT1^99LOCAL")
    assert "AccessionNumber" not in attributes


def test_the_patient_is_not_in_it(tmp_path: Path) -> None:
    instance = read_instance(written(tmp_path / "a.dcm", ct()), received_at=1.0)
    assert "Mustermann" not in repr(instance)
    assert "4711" not in repr(instance)
    assert not any(keyword.startswith(("PatientName", "PatientID", "OtherPatient")) for keyword in ROUTING_KEYWORDS)


def test_a_dotted_keyword_steps_into_the_items(tmp_path: Path) -> None:
    dataset, first, second = ct(), Dataset(), Dataset()
    first.Manufacturer = "A"
    second.DeviceUID = "2.25.7"
    dataset.ContributingEquipmentSequence = [first, second]
    instance = read_instance(written(tmp_path / "a.dcm", dataset), received_at=1.0)
    assert instance.first("ContributingEquipmentSequence.DeviceUID") == "2.25.7"


def test_further_attributes_can_be_asked_for_and_unknown_ones_are_absent(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", ct())
    instance = read_instance(path, received_at=1.0, keywords=["PixelSpacing", "NoSuchThing", "Modality.Rows"])
    assert instance.attributes == {"PixelSpacing": ("0.5", "0.25")}


def test_text_in_any_character_set_is_decoded(tmp_path: Path) -> None:
    dataset = ct()
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.SeriesDescription = "胸部"
    assert read_instance(written(tmp_path / "a.dcm", dataset), received_at=1.0).first("SeriesDescription") == "胸部"


def test_a_value_that_its_vr_does_not_allow_is_kept_as_text(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", ct())
    path.write_bytes(path.read_bytes().replace(b"1.50", b"thin").replace(b"-2.5", b"-2.x"))
    instance = read_instance(path, received_at=1.0)
    assert instance.first("SliceThickness") == "thin"
    assert instance.planes == ()


def test_frames_of_an_enhanced_instance_have_planes(tmp_path: Path) -> None:
    dataset = ct()
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient, measures.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.5]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    frames = []
    for z in (0.0, 2.0, None):
        frame, position = Dataset(), Dataset()
        if z is not None:
            position.ImagePositionPatient = [0, 0, z]
            frame.PlanePositionSequence = [position]
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], Sequence(frames)
    instance = read_instance(written(tmp_path / "a.dcm", dataset), received_at=1.0)
    assert [plane[2] for plane in instance.planes] == [0.0, 2.0]
    assert instance.planes[0][3:] == (1, 0, 0, 0, 1, 0, 0.5, 0.5, 512, 256)


@pytest.mark.parametrize("keyword", ["SeriesInstanceUID", "StudyInstanceUID"])
def test_a_missing_uid_is_refused(tmp_path: Path, keyword: str) -> None:
    dataset = ct()
    delattr(dataset, keyword)
    assert refusal(written(tmp_path / "a.dcm", dataset)) == f"{keyword} is missing"


def test_the_sop_instance_may_be_named_by_the_meta_header_alone(tmp_path: Path) -> None:
    dataset = ct()
    dataset.file_meta.MediaStorageSOPInstanceUID, dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.3.4.5"), CT
    del dataset.SOPInstanceUID, dataset.SOPClassUID
    instance = read_instance(written(tmp_path / "a.dcm", dataset), received_at=1.0)
    assert (instance.sop_instance_uid, instance.sop_class_uid) == ("1.2.3.4.5", CT)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
@pytest.mark.parametrize("uid", ["../../etc/passwd", NAME, "1." * 40 + "1"])
def test_what_is_no_uid_is_refused_without_repeating_it(tmp_path: Path, uid: str) -> None:
    dataset = ct()
    dataset.StudyInstanceUID = uid
    reason = refusal(written(tmp_path / "a.dcm", dataset))
    assert reason == "StudyInstanceUID is no UID"


def test_a_meta_header_of_another_instance_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", ct())
    path.write_bytes(path.read_bytes().replace(b"1.2.3.4.5", b"1.2.3.4.6", 1))
    assert "is not that of the dataset" in refusal(path)


@pytest.mark.parametrize(
    "content", [b"", b"no DICOM", b"\0" * 200, b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 64]
)
def test_what_is_no_dicom_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.dcm").write_bytes(content)
    assert refusal(tmp_path / "a.dcm")


def test_sequences_without_end_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", ct())
    nested = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 3000
    head = path.read_bytes()
    (tmp_path / "b.dcm").write_bytes(head[: head.index(b"\x08\x00\x08\x00CS")] + nested)
    assert "RecursionError" in refusal(tmp_path / "b.dcm")


def test_a_file_that_is_not_there_is_not_the_same_as_an_unreadable_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_instance(tmp_path / "absent", received_at=1.0)


def whole() -> bytes:
    buffer = io.BytesIO()
    dcmwrite(buffer, ct(), enforce_file_format=True)
    return buffer.getvalue()


WHOLE = whole()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(0, len(WHOLE)), flips=st.lists(st.tuples(st.integers(132, 900), st.integers(0, 255)), max_size=4))
def test_a_garbled_file_is_read_or_refused_and_the_reason_names_no_patient(
    tmp_path: Path, cut: int, flips: list[tuple[int, int]]
) -> None:
    content = bytearray(WHOLE)
    for place, value in flips:
        content[place] = value
    path = tmp_path / "garbled.dcm"
    path.write_bytes(content[:cut] if cut < len(WHOLE) // 2 else content)
    told = ""
    try:
        read_instance(path, received_at=1.0)
    except UnreadableInstanceError as error:
        told = "".join(traceback.format_exception(error))
    assert "Mustermann" not in told
    path.unlink()


def test_real_chest_ct_headers_are_read_quickly(chest_ct: Path) -> None:
    paths = sorted(chest_ct.iterdir())
    start = time.process_time()
    instances = [read_instance(path, received_at=1.0) for path in paths]
    assert (time.process_time() - start) / len(paths) < 0.02  # measured: 1.3 ms; the bound is for a busy machine
    assert len({instance.sop_instance_uid for instance in instances}) == 99
    assert {instance.first("Modality") for instance in instances} == {"CT"}
    assert all(len(instance.planes) == 1 for instance in instances)


def test_every_odd_file_is_read_or_refused_with_a_reason(odd_files: Path, real_data: RealData) -> None:
    outcomes = []
    for path in sorted(odd_files.rglob("*.dcm")):
        try:
            outcomes.append(read_instance(path, received_at=1.0).sop_instance_uid)
        except UnreadableInstanceError as error:
            outcomes.append(str(error))
    assert sum(outcome[0].isdigit() for outcome in outcomes) > 70
    assert len(outcomes) > 90


def test_real_enhanced_instances_have_a_plane_per_frame(odd_files: Path) -> None:
    instances = [read_instance(path, received_at=1.0) for path in sorted((odd_files / "enhanced").glob("dcm_qa_enh*"))]
    assert instances
    assert all(len(instance.planes) == int(instance.first("NumberOfFrames")) for instance in instances)
