import pytest
from pydicom.dataset import Dataset

from dicom_node.receive.commitment import CommitmentReport, ReportRefused, read_report
from dicom_node.receive.statuses import Status

SEG = "1.2.840.10008.5.1.4.1.1.66.4"


def item(uid: str | None, reason: int | None = None) -> Dataset:
    dataset = Dataset()
    if uid is not None:
        dataset.ReferencedSOPClassUID = SEG
        dataset.ReferencedSOPInstanceUID = uid
    if reason is not None:
        dataset.FailureReason = reason
    return dataset


def information(
    transaction_uid: str = "1.2.3", committed: tuple[Dataset, ...] = (), failed: tuple[Dataset, ...] = ()
) -> Dataset:
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    if committed:
        dataset.ReferencedSOPSequence = list(committed)
    if failed:
        dataset.FailedSOPSequence = list(failed)
    return dataset


def test_a_report_says_what_is_committed_and_what_failed_why() -> None:
    report = read_report(
        2, information(committed=(item("1.1"), item("1.2")), failed=(item("1.3", 0x0112), item("1.4", 0x0110)))
    )
    assert report == CommitmentReport("1.2.3", ((SEG, "1.1"), (SEG, "1.2")), ((SEG, "1.3", 0x0112), (SEG, "1.4", 0x0110)))


def test_an_instance_in_both_lists_has_failed() -> None:
    report = read_report(2, information(committed=(item("1.1"),), failed=(item("1.1", 0x0112),)))
    assert report == CommitmentReport("1.2.3", (), ((SEG, "1.1", 0x0112),))


def test_a_failure_without_a_reason_means_that_the_instance_is_not_there() -> None:
    assert read_report(2, information(failed=(item("1.1"),))).failed == ((SEG, "1.1", 0x0112),)


@pytest.mark.parametrize(
    ("event_type_id", "told", "status"),
    [
        (3, information(committed=(item("1.1"),)), Status.NO_SUCH_EVENT_TYPE),
        (None, information(committed=(item("1.1"),)), Status.NO_SUCH_EVENT_TYPE),
        (1, information(""), Status.INVALID_ARGUMENT_VALUE),
        (1, information(), Status.INVALID_ARGUMENT_VALUE),
        (1, Dataset(), Status.INVALID_ARGUMENT_VALUE),
        (1, information(committed=(item(None),)), Status.INVALID_ARGUMENT_VALUE),
    ],
)
def test_a_report_that_says_nothing_usable_is_refused(event_type_id: int | None, told: Dataset, status: Status) -> None:
    with pytest.raises(ReportRefused) as refused:
        read_report(event_type_id, told)
    assert refused.value.status is status
