"""A client that can be told to misbehave: multipart bodies of any form, over http.client and plain sockets."""

import json
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from dicom_node.receive import Spool

CT = str(CTImageStorage)
ROOT = "1.2.826.0.1.3680043.10.1999."
STUDY = ROOT + "7"
BOUNDARY = "a-boundary"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
DICOM_PART = b"Content-Type: application/dicom\r\n"


def instance(
    number: int = 1, pixels: bytes = b"\1\2" * 8, study: str = STUDY, syntax: str = str(ExplicitVRLittleEndian)
) -> bytes:
    """A small Part 10 file."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT, UID(f"{ROOT}{number}")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, STUDY + ".1"
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def dataset_of(file: bytes) -> bytes:
    """What stands behind the File Meta Information."""
    length = int.from_bytes(file[140:144], "little")
    return file[144 + length :]


def body(parts: Iterable[bytes], headers: bytes = DICOM_PART, boundary: str = BOUNDARY) -> bytes:
    mark = boundary.encode()
    return b"".join(b"--%s\r\n%s\r\n%s\r\n" % (mark, headers, part) for part in parts) + b"--%s--\r\n" % mark


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def dataset(self) -> Any:
        return json.loads(self.content)

    @property
    def stored(self) -> list[str]:
        return [item["00081155"]["Value"][0] for item in self.dataset.get("00081199", {}).get("Value", [])]

    @property
    def failures(self) -> list[int]:
        sequences = [self.dataset.get(tag, {}).get("Value", []) for tag in ("00081198", "0008119A")]
        return [item["00081197"]["Value"][0] for items in sequences for item in items]


def post(
    address: tuple[str, int], content: Any, path: str = "/studies", content_type: str = MULTIPART, **headers: str
) -> Answer:
    """POST; underscores in the names of headers are hyphens."""
    connection = HTTPConnection(*address, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, content, {"Content-Type": content_type, **named})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def begin(address: tuple[str, int], sent: bytes, promised: int = 10_000_000, path: str = "/studies") -> socket.socket:
    """A request whose body does not become whole."""
    connection = socket.create_connection(address, timeout=20)
    head = f"POST {path} HTTP/1.1\r\nHost: node\r\nContent-Type: {MULTIPART}\r\nContent-Length: {promised}\r\n\r\n"
    connection.sendall(head.encode() + sent)
    return connection


def files(spool: Spool) -> list[Path]:
    return sorted(spool.instances.glob("*/*/*.dcm"))


def being_written(spool: Spool) -> list[Path]:
    return list(spool.incoming.iterdir())


def datasets(spool: Spool) -> Sequence[bytes]:
    return [dataset_of(path.read_bytes()) for path in files(spool)]


def meta(path: Path) -> Any:
    return dcmread(path, stop_before_pixels=True).file_meta
