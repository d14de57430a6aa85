"""Ordinary and extraordinary hospital headers: names come back unchanged, nothing stops a result."""

from pathlib import Path

import pydicom
import pytest
from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicom_node.model import ResultKind
from dicom_node.report import check_results, make_results
from dicom_node.report.normalise import normalise
from engine.findings import Findings, Outcome
from tests.reported_series import ALGORITHM, ReportedSeries, reported_series

CHARACTER_SETS = [
    ("ISO_IR 192", "Müller^Zoë=山田^太郎=やまだ^たろう"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
    ("GBK", "Wang^XiaoDong=王^小东"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ("ISO_IR 144", "Люкceмбypг"),
    ("ISO_IR 127", "قباني^لنزار"),
    ("ISO_IR 100", "Buc^Jérôme"),
    ("ISO_IR 166", "นามสกุล^ชื่อ"),
]


def ct_header(**attributes: object) -> Dataset:
    """One instance as read from a file; values are not looked at."""
    header = Dataset()
    with config.disable_value_validation():
        header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, "1.2.3.4"
        for keyword, value in attributes.items():
            setattr(header, keyword, value)
    return header


def through_a_file(header: Dataset, path: Path) -> Dataset:
    with config.disable_value_validation():
        header.file_meta = pydicom.dataset.FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.save_as(path, enforce_file_format=True)
    return pydicom.dcmread(path)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ReportedSeries:
    return reported_series(tmp_path_factory.mktemp("axial"), rows=32, slices=6)


@pytest.mark.parametrize(("character_set", "name"), CHARACTER_SETS)
def test_a_name_in_any_character_set_comes_back_unchanged(
    case: ReportedSeries, tmp_path: Path, character_set: str | list[str], name: str
) -> None:
    source = through_a_file(ct_header(SpecificCharacterSet=character_set, PatientName=name), tmp_path / "source.dcm")
    assert str(source.PatientName) == name
    findings = Findings(ALGORITHM, Outcome.NOT_ANALYSED, reason="Not analysed.")
    for made in make_results(findings, None, [source], case.context):
        result = through_a_file(made.dataset, tmp_path / "result.dcm")
        assert (str(result.PatientName), result.SpecificCharacterSet) == (name, "ISO_IR 192")


def test_what_a_source_lacks_is_empty_and_never_invented(case: ReportedSeries) -> None:
    identity = normalise([ct_header()], None, case.context).identity
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        assert keyword in identity
        assert not identity[keyword].value
    assert "IssuerOfPatientID" not in identity


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", "1960-01-02"),
        ("PatientBirthDate", "sometime"),
        ("StudyTime", "10:00"),
        ("StudyTime", "noon"),
        ("PatientSex", "male or so, who knows"),
        ("PatientAge", "64"),
        ("TimezoneOffsetFromUTC", "CET"),
        ("StudyDate", ["20240115", "20240116"]),
    ],
)
def test_an_invalid_value_is_left_out_and_remarked_without_being_told(
    case: ReportedSeries, tmp_path: Path, keyword: str, value: object
) -> None:
    source = through_a_file(ct_header(**{keyword: value}), tmp_path / "source.dcm")
    normalised = normalise([source], None, case.context)
    assert not normalised.identity[keyword].value or keyword == "TimezoneOffsetFromUTC"
    assert keyword == "TimezoneOffsetFromUTC" or [keyword in r for r in normalised.remarks] == [True]
    assert not any(str(value) in remark for remark in normalised.remarks)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientID", "P" * 80), ("StudyDescription", "D" * 100), ("PatientID", "A\\B"), ("AccessionNumber", "A" * 30)],
)
def test_text_that_is_too_long_or_multiple_stays_as_it_is(
    case: ReportedSeries, tmp_path: Path, keyword: str, value: str
) -> None:
    source = through_a_file(ct_header(**{keyword: value}), tmp_path / "source.dcm")
    findings = Findings(ALGORITHM, Outcome.NOT_ANALYSED, reason="Not analysed.")
    made = make_results(findings, None, [source], case.context)[0]
    result = through_a_file(made.dataset, tmp_path / "result.dcm")
    with config.disable_value_validation():
        assert result[keyword].value == source[keyword].value


def test_bytes_outside_the_named_character_set_are_survived_and_remarked(case: ReportedSeries, tmp_path: Path) -> None:
    path = tmp_path / "source.dcm"
    through_a_file(ct_header(SpecificCharacterSet="ISO_IR 192", PatientName="XXXX^XX"), path)
    path.write_bytes(path.read_bytes().replace(b"XXXX^XX", b"\xfe\xff\xc3\x28^XX"))
    normalised = normalise([pydicom.dcmread(path)], None, case.context)
    assert normalised.remarks == ("text of the source is not in the character set it names",)


def test_an_unknown_character_set_is_survived(case: ReportedSeries, tmp_path: Path) -> None:
    path = tmp_path / "source.dcm"
    through_a_file(ct_header(SpecificCharacterSet="ISO_IR 192", PatientName="Test^Patient"), path)
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 192", b"KLINGON  1"))
    with pytest.warns(UserWarning, match="Unknown encoding"):
        source = pydicom.dcmread(path)
    normalised = normalise([source], None, case.context)
    assert str(normalised.identity.PatientName) == "Test^Patient"


def test_private_attributes_are_never_copied(case: ReportedSeries, tmp_path: Path) -> None:
    assert any(e.tag.is_private for e in case.headers[0])
    for result in case.report(tmp_path):
        assert not any(e.tag.is_private for e in pydicom.dcmread(result.path).iterall())


def test_identity_is_of_the_source(case: ReportedSeries, tmp_path: Path) -> None:
    source = case.headers[0]
    keywords = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
    for result in case.report(tmp_path):
        dataset = pydicom.dcmread(result.path)
        assert [dataset[k].value for k in keywords] == [source[k].value for k in keywords]
        assert dataset.StudyInstanceUID == source.StudyInstanceUID


@pytest.mark.parametrize(
    "edit",
    [
        {"StudyInstanceUID": "1.02.003"},
        {"PatientName": None, "PatientID": None, "StudyDate": None},
        {"PatientID": "P" * 70, "PatientBirthDate": "1960.01.02", "StudyTime": "10h"},
        {"PatientIdentityRemoved": "YES", "DeidentificationMethod": ["A", "B"]},
        {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12", "LossyImageCompressionMethod": "ISO_10918_1"},
    ],
)
def test_odd_identities_make_results_that_pass_the_own_check(tmp_path: Path, edit: dict[str, object]) -> None:
    with config.disable_value_validation():
        case = reported_series(tmp_path / "source", rows=32, slices=4, edit=edit)
        study = str(edit.get("StudyInstanceUID", case.series.study_instance_uid))
        results = case.report(tmp_path / "results", study_instance_uid=study)
        assert check_results(results, case.headers, case.volume, case.findings) == []
        seg = pydicom.dcmread(next(r.path for r in results if r.kind is ResultKind.SEG))
    assert seg.LossyImageCompression == edit.get("LossyImageCompression", "00")


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_value_is_not_the_word_none(tmp_path: Path, empty: str | None) -> None:
    edit: dict[str, object] = {"BodyPartExamined": empty, "TimezoneOffsetFromUTC": empty, "StudyDescription": empty}
    case = reported_series(tmp_path / "source", rows=32, slices=4, edit=edit)
    for result in case.report(tmp_path / "results"):
        assert b"None" not in result.path.read_bytes()


def test_a_name_in_gb2312_by_code_extension_holds_no_escape_sequence(case: ReportedSeries) -> None:
    """Source: PS3.5 Annex K.2, its example of a Person Name; in bytes, because pydicom writes no escape sequence."""
    name = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"
    source = ct_header(SpecificCharacterSet=["", "ISO 2022 IR 58"])
    tag = Tag("PatientName")
    source[tag] = RawDataElement(tag, "PN", len(name), name, 0, is_implicit_VR=False, is_little_endian=True)
    assert str(normalise([source], None, case.context).identity.PatientName) == "Zhang^XiaoDong=张^小东"
