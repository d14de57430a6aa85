from dataclasses import replace
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.ledger import Ledger
from dicom_node.ledger.content import fingerprint
from tests.dicom_node.ledger.builders import SERIES, close, instance


def test_a_new_instance_comes_back_exactly_as_it_went_in(ledger: Ledger, tmp_path: Path) -> None:
    added = instance(tmp_path, 1)
    assert ledger.instances.add([added]).new == (added,)
    assert ledger.series.open()[0].instances == (added,)


def test_an_identical_second_copy_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    first = instance(tmp_path, 1)
    ledger.instances.add([first])
    close(ledger)
    copy = instance(tmp_path, 1, copy="-again", at=500.0)
    assert ledger.instances.add([copy]).duplicates == (copy,)
    assert not ledger.series.open()
    assert ledger.instances.known_paths() == {first.path}
    found = ledger.series.get(SERIES)
    assert found is not None
    assert found.last_received_at == first.received_at


def test_two_copies_in_one_batch_are_one_instance(ledger: Ledger, tmp_path: Path) -> None:
    one, two = instance(tmp_path, 1), instance(tmp_path, 1, copy="-again")
    report = ledger.instances.add([one, two])
    assert (report.new, report.duplicates) == ((one,), (two,))


def test_the_indexed_file_itself_is_never_named_a_duplicate(ledger: Ledger, tmp_path: Path) -> None:
    first = instance(tmp_path, 1)
    ledger.instances.add([first])
    (tmp_path / "link.dcm").hardlink_to(first.path)
    report = ledger.instances.add([first, replace(first, path=tmp_path / "link.dcm")])
    assert len(report.unchanged) == 2
    assert not report.duplicates


def test_other_content_under_a_known_uid_is_quarantined_and_its_file_kept(ledger: Ledger, tmp_path: Path) -> None:
    first, other = instance(tmp_path, 1), instance(tmp_path, 1, copy="-other", content=b"something else")
    ledger.instances.add([first])
    close(ledger)
    (conflict,) = ledger.instances.add([other]).conflicts
    assert conflict.instance == other
    assert other.path.exists()
    assert [entry.path for entry in ledger.instances.quarantined()] == [other.path]
    assert ledger.instances.known_paths() == {first.path, other.path}
    assert not ledger.series.open()


def test_the_series_of_another_study_is_quarantined(ledger: Ledger, tmp_path: Path) -> None:
    ledger.instances.add([instance(tmp_path, 1)])
    (conflict,) = ledger.instances.add([instance(tmp_path, 2, study="9.9")]).conflicts
    assert "another study" in conflict.reason


def test_a_copy_replaces_a_file_that_is_gone(ledger: Ledger, tmp_path: Path) -> None:
    first, copy = instance(tmp_path, 1), instance(tmp_path, 1, copy="-again")
    ledger.instances.add([first])
    first.path.unlink()
    assert ledger.instances.add([copy]).restored == (copy,)
    assert ledger.instances.known_paths() == {copy.path}


def test_a_second_copy_that_cannot_be_read_holds_up_no_other(ledger: Ledger, tmp_path: Path) -> None:
    ledger.instances.add([instance(tmp_path, 1)])
    broken = instance(tmp_path, 1, copy="-broken")
    broken.path.unlink()
    broken.path.mkdir()  # reading it is an error of the file system, for root too
    report = ledger.instances.add([instance(tmp_path, 2), broken])
    assert [conflict.instance for conflict in report.conflicts] == [broken]
    assert ledger.views.status().instances == 2


def test_a_second_copy_that_is_gone_is_forgotten(ledger: Ledger, tmp_path: Path) -> None:
    ledger.instances.add([instance(tmp_path, 1)])
    gone = instance(tmp_path, 1, copy="-gone")
    gone.path.unlink()
    assert ledger.instances.add([gone]).duplicates == (gone,)


def test_the_meta_header_does_not_make_two_files_different(tmp_path: Path) -> None:
    for name, sender in (("one", "A"), ("two", "LONGER TITLE"), ("three", "A")):
        dataset = Dataset()
        dataset.SOPInstanceUID, dataset.SOPClassUID = "1.2.3", "1.2.840.10008.5.1.4.1.1.2"
        dataset.PatientID = "other" if name == "three" else "same"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.SourceApplicationEntityTitle = sender
        dataset.save_as(tmp_path / name, enforce_file_format=True)
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "three")


def test_a_quarantined_file_is_known_with_its_reason(ledger: Ledger, tmp_path: Path) -> None:
    ledger.instances.quarantine(tmp_path / "x", "no DICOM file", 5.0)
    ledger.instances.quarantine(tmp_path / "x", "no DICOM file at all", 6.0)
    (entry,) = ledger.instances.quarantined()
    assert (entry.path, entry.reason, entry.at) == (tmp_path / "x", "no DICOM file at all", 6.0)
    assert tmp_path / "x" in ledger.instances.known_paths()
