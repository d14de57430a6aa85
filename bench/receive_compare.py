"""Every received file against what was sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from bench.receive_samples import Sample, dataset_offset

HEAD_BYTES = 132


class Mismatch(Exception):
    """What a receiver holds is not what was sent."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many files hold the very bytes, and how many the same dataset in another encoding."""

    identical: int
    equal: int


def compare(folder: Path, samples: Sequence[Sample], *, exact: bool, raw: bool = False) -> Comparison:
    """Find each of the samples exactly once under the folder, and nothing else.

    Args:
        folder: where the receiver keeps its files.
        samples: all that was sent.
        exact: the dataset must be the very bytes that were sent; else the same values in another encoding will do.
        raw: the files are datasets without a head and are named by the SOP Instance UID.

    Raises:
        Mismatch: a file is missing, doubled, changed, or was never sent.
    """
    sent = {sample.sop_instance_uid: sample for sample in samples}
    identical = equal = 0
    for path, uid, dataset in _raw_files(folder) if raw else _part_10_files(folder):
        sample = sent.pop(uid, None)
        if sample is None:
            raise Mismatch(f"{path} was not sent, or is there twice ({uid})")
        if dataset == sample.dataset():
            identical += 1
        elif exact:
            raise Mismatch(f"{path}: its dataset is not the bytes that were sent ({uid})")
        else:
            _compare_values(path, sample)
            equal += 1
    if sent:
        raise Mismatch(f"{len(sent)} of {len(samples)} are not under {folder}, one of them {next(iter(sent))}")
    return Comparison(identical, equal)


def _raw_files(folder: Path) -> Iterator[tuple[Path, str, bytes]]:
    for path in _files(folder):
        yield path, path.name, path.read_bytes()


def _part_10_files(folder: Path) -> Iterator[tuple[Path, str, bytes]]:
    """Files of DICOM: path, Media Storage SOP Instance UID, dataset. A receiver's own files beside them do not count."""
    for path in _files(folder):
        content = path.read_bytes()
        offset = dataset_offset(content)
        if offset:
            meta = dcmread(BytesIO(content[:offset])).file_meta
            yield path, str(meta.MediaStorageSOPInstanceUID), content[offset:]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _compare_values(path: Path, sample: Sample) -> None:
    received, sent = (_without_group_lengths(dcmread(file)) for file in (path, sample.path))
    same_syntax = received.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    if not same_syntax or received != sent:
        raise Mismatch(f"{path}: its values are not those that were sent ({sample.sop_instance_uid})")


def _without_group_lengths(dataset: Dataset) -> Dataset:
    for tag in [tag for tag in dataset.keys() if tag.element == 0]:  # noqa: SIM118 - iterating would decode every value
        del dataset[tag]
    return dataset
