"""The study of an instance is found in any transfer syntax, as soon as it has come, whatever stands before it."""

import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from dicom_node.receive.web.prefix import LONGEST_PREFIX_BYTES, read_prefix
from dicom_node.receive.web.study import study_instance_uid
from tests.dicom_node.receive.web.stow import CT, ROOT, STUDY, dataset_of, instance

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def written(dataset: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == IMPLICIT, syntax != BIG_ENDIAN
    write_dataset(buffer, dataset)
    return buffer.getvalue()


@pytest.fixture
def nested() -> Dataset:
    """Another study's UID stands in a sequence, in all four mixtures of lengths, before the dataset's own."""
    dataset = Dataset()
    for tag, of_sequence, of_item in ((0x00081110, 1, 1), (0x00081111, 1, 0), (0x00081115, 0, 1), (0x00081140, 0, 0)):
        item, inner = Dataset(), Dataset()
        inner.StudyInstanceUID = ROOT + "9"
        inner.is_undefined_length_sequence_item = bool(of_item)
        item.StudyInstanceUID, item.ReferencedSOPSequence = ROOT + "9", Sequence([inner, inner])
        item["ReferencedSOPSequence"].is_undefined_length = bool(of_sequence)
        item.is_undefined_length_sequence_item = bool(of_item)
        dataset.add_new(tag, "SQ", Sequence([item, item]))
        dataset[tag].is_undefined_length = bool(of_sequence)
    dataset.SOPClassUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = CT, STUDY, ROOT + "8"
    return dataset


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_a_study_is_found_behind_sequences(nested: Dataset, syntax: str) -> None:
    assert study_instance_uid(written(nested, syntax), syntax) == STUDY


def test_a_study_is_found_behind_a_sequence_of_unknown_vr(nested: Dataset) -> None:
    """Source: PS3.5 6.2.2 note 4: the items of UN are in implicit VR."""
    items = written(nested, IMPLICIT)
    private = b"\x09\x00\x10\x10UN\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" + items
    private += b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    assert study_instance_uid(private + dataset_of(instance()), EXPLICIT) == STUDY


def test_a_study_is_known_as_soon_as_it_has_come() -> None:
    dataset = dataset_of(instance())
    ends = dataset.index(STUDY.encode()) + len(STUDY) + len(STUDY) % 2
    assert study_instance_uid(dataset[:ends], EXPLICIT) == STUDY
    assert [study_instance_uid(dataset[:end], EXPLICIT) for end in range(ends)] == [None] * ends


def test_a_dataset_without_a_study_has_none() -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SeriesInstanceUID = CT, ROOT + "8"
    assert study_instance_uid(written(dataset, EXPLICIT), EXPLICIT) is None
    assert study_instance_uid(b"\xfe\xff\xdd\xe0\0\0\0\0" + written(dataset, EXPLICIT), EXPLICIT) is None


def test_a_hostile_sequence_needs_no_memory() -> None:
    opened = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
    empty_items = opened + b"\xfe\xff\x00\xe0\0\0\0\0" * 50_000
    deep = (opened + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 25_000
    tracemalloc.start()
    try:
        assert study_instance_uid(empty_items, EXPLICIT) is None
        assert study_instance_uid(deep, EXPLICIT) is None
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_real_instances_tell_their_study(whole_study: Path, brain_mr: Path, odd_files: Path) -> None:
    chosen = [*sorted(whole_study.glob("*/*.dcm"))[::30], *sorted(brain_mr.glob("*.dcm"))[::40], *odd_files.rglob("*.dcm")]
    compared = 0
    for path in chosen:
        content = path.read_bytes()
        try:
            expected = dcmread(BytesIO(content), stop_before_pixels=True).get("StudyInstanceUID")
            prefix = read_prefix(content[:LONGEST_PREFIX_BYTES])
        except Exception:  # noqa: BLE001, S112  # broken on purpose
            continue
        if expected:
            assert study_instance_uid(content[prefix.length_bytes :], prefix.transfer_syntax_uid) == expected, path.name
            compared += 1
    assert compared > 10
