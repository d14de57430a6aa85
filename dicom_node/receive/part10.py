"""The head of a received file: preamble and File Meta Information, ours; the dataset behind it stays the sender's.

Source: DICOM PS3.10 7.1 and Table 7.1-1.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

from dicom_node import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

PREAMBLE = b"\0" * 128 + b"DICM"


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What is known of an instance before its dataset: the C-STORE command and its association.

    Attributes:
        peer_host, peer_port: where it came from.
        local_host, local_port: where it was received.
        scheme: of the presentation addresses: dicom, http or https.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str = ""
    called_ae_title: str = ""
    peer_host: str = ""
    peer_port: int = 0
    local_host: str = ""
    local_port: int = 0
    scheme: str = "dicom"


def head(request: StoreRequest) -> bytes:
    """Everything of the file that stands before the dataset."""
    before, after = _around(replace(request, sop_instance_uid=""))
    uid = request.sop_instance_uid.encode("ascii", "replace")
    uid += b"\0" * (len(uid) % 2)
    group = before + struct.pack("<HH2sH", 0x0002, 0x0003, b"UI", len(uid)) + uid + after
    return PREAMBLE + struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(group)) + group


@lru_cache(maxsize=256)
def _around(request: StoreRequest) -> tuple[bytes, bytes]:
    """The elements of the group before and after the SOP Instance UID: the same for all of an association's context."""
    values = list(_values(request).items())
    return _encoded(values[:2]), _encoded(values[2:])


def _encoded(values: Sequence[tuple[str, str | bytes]]) -> bytes:
    meta = FileMetaDataset()
    for keyword, value in values:
        if value:  # as it came: a UID that breaks PS3.5 9.1 is the sender's, and is kept
            tag = Tag(keyword)
            meta[tag] = DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, meta)
    return buffer.getvalue()


def _values(request: StoreRequest) -> dict[str, str | bytes]:
    """The elements in the order of their tags, but for the SOP Instance UID, which comes third."""
    peer = presentation_address(request.peer_host, request.peer_port, request.scheme)
    return {
        "FileMetaInformationVersion": b"\x00\x01",
        "MediaStorageSOPClassUID": request.sop_class_uid,
        "TransferSyntaxUID": request.transfer_syntax_uid,
        "ImplementationClassUID": IMPLEMENTATION_CLASS_UID,
        "ImplementationVersionName": IMPLEMENTATION_VERSION_NAME,
        "SourceApplicationEntityTitle": request.calling_ae_title,
        "SendingApplicationEntityTitle": request.calling_ae_title,
        "ReceivingApplicationEntityTitle": request.called_ae_title,
        "SourcePresentationAddress": peer,
        "SendingPresentationAddress": peer,
        "ReceivingPresentationAddress": presentation_address(request.local_host, request.local_port, request.scheme),
    }


def presentation_address(host: str, port: int, scheme: str = "dicom") -> str:
    """A URI, as VR UR wants it: dicom://10.1.2.3:104; empty without a host."""
    if not host:
        return ""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
