"""What is sent: files of one kind, found without a DICOM library, so that a sender starts quickly and light."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Sample:
    """A Part 10 file.

    Attributes:
        offset: where its dataset begins, behind the file meta information.
        size_bytes: length of the dataset.
    """

    path: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int
    size_bytes: int

    def dataset(self) -> bytes:
        """The encoded dataset, as it is sent."""
        with Path(self.path).open("rb") as file:
            file.seek(self.offset)
            return file.read()


def write_index(directory: Path, samples: Sequence[Sample]) -> None:
    (directory / INDEX).write_text(json.dumps([asdict(sample) for sample in samples]))


def read_index(directory: Path) -> list[Sample]:
    return [Sample(**entry) for entry in json.loads((directory / INDEX).read_text())]


def dataset_offset(head: bytes) -> int:
    """Where the dataset begins in a Part 10 file of which these are the first bytes; 0 if it is no such file.

    Source: DICOM PS3.10 7.1: the first element of the file meta information is its length.
    """
    if len(head) < 144 or head[128:132] != b"DICM":
        return 0
    return 144 + int.from_bytes(head[140:144], "little")
