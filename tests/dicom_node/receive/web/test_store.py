"""What a well-meant client can count on: the same spool and the same promise as C-STORE."""

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from pydicom import dcmread

from dicom_node.receive import Spool
from dicom_node.receive.web import WebReceiver
from tests.dicom_node.receive.web.stow import (
    BOUNDARY,
    CT,
    DICOM_PART,
    ROOT,
    STUDY,
    being_written,
    body,
    dataset_of,
    datasets,
    files,
    instance,
    meta,
    post,
)
from tests.pacs_servers import wait_until

StartWeb = Callable[..., WebReceiver]
NAMESPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def test_an_instance_is_stored_as_it_was_sent(web: WebReceiver, spool: Spool) -> None:
    answer = post(web.address, body([instance()]))
    assert (answer.status, answer.stored, answer.failures) == (200, [ROOT + "1"], [])
    assert answer.headers["content-type"] == "application/dicom+json"
    assert datasets(spool) == [dataset_of(instance())]
    (path,) = files(spool)
    found = meta(path)
    assert (found.MediaStorageSOPClassUID, found.MediaStorageSOPInstanceUID) == (CT, ROOT + "1")
    assert found.SourcePresentationAddress.startswith("http://127.0.0.1:")
    assert found.ReceivingPresentationAddress == f"http://127.0.0.1:{web.address[1]}"
    assert not being_written(spool)


def test_many_instances_are_stored_in_one_request(web: WebReceiver, spool: Spool) -> None:
    answer = post(web.address, body(instance(number) for number in range(50)))
    assert (answer.status, len(answer.stored), len(files(spool))) == (200, 50, 50)


def test_each_stored_file_is_told_of(start_web: StartWeb) -> None:
    told: list[Any] = []
    web = start_web(told.append)
    post(web.address, body([instance(1), instance(2)]))
    assert len({stored.path for stored in told}) == 2


@pytest.mark.parametrize(
    "content_type",
    [
        f"multipart/related; type=application/dicom; boundary={BOUNDARY}",
        f"Multipart/Related;TYPE=Application/DICOM;Boundary={BOUNDARY}",
        f'multipart/related ;  boundary = "{BOUNDARY}" ; type="application/dicom"',
        f'multipart/related; type="application/dicom"; start="<1>"; boundary="{BOUNDARY}"; charset=utf-8',
        f"multipart/related; boundary={BOUNDARY}",
    ],
)
def test_a_content_type_may_be_written_in_many_ways(web: WebReceiver, content_type: str) -> None:
    assert post(web.address, body([instance()]), content_type=content_type).status == 200


@pytest.mark.parametrize(
    "content",
    [
        b"a preamble\r\n" + body([instance()]) + b"an epilogue",
        b"\r\n" + body([instance()]),
        body([instance()]).replace(f"--{BOUNDARY}\r\n".encode(), f"--{BOUNDARY} \t \r\n".encode()),
        body([instance()], headers=b""),
        body([instance()], headers=b"content-type:APPLICATION/DICOM;transfer-syntax=*\r\nContent-ID: <1>\r\n"),
        body([instance()]).removesuffix(b"\r\n"),
        body([instance()], headers=DICOM_PART + b"Content-Length: 3\r\nMIME-Version: 1.0\r\n"),
    ],
    ids=["preamble and epilogue", "empty line", "padding", "no headers", "odd headers", "no last line end", "more headers"],
)
def test_a_body_may_be_written_in_many_ways(web: WebReceiver, spool: Spool, content: bytes) -> None:
    assert post(web.address, content).status == 200
    assert datasets(spool) == [dataset_of(instance())]


def test_pixels_may_hold_what_looks_like_a_boundary(web: WebReceiver, spool: Spool) -> None:
    pixels = f"\r\n--{BOUNDARY[:-1]}\r\n--\r\n\r\n--{BOUNDARY}X\r".encode() * 3001 + b"\r\n"
    file = instance(pixels=pixels + b"\0" * (len(pixels) % 2))
    assert post(web.address, body([file])).status == 200
    assert datasets(spool) == [dataset_of(file)]


@pytest.mark.parametrize("size", [1, 7, 1000, 65_537])
def test_a_body_may_come_in_pieces(web: WebReceiver, spool: Spool, size: int) -> None:
    whole = body([instance(1, b"\r\n" * 400), instance(2)])
    pieces = (whole[start : start + size] for start in range(0, len(whole), size))
    assert post(web.address, pieces).status == 200
    assert len(files(spool)) == 2


def test_a_single_instance_needs_no_multipart(web: WebReceiver, spool: Spool) -> None:
    assert post(web.address, instance(), content_type="application/dicom").status == 200
    assert datasets(spool) == [dataset_of(instance())]


def test_the_answer_is_xml_where_that_is_asked_for(web: WebReceiver) -> None:
    answer = post(web.address, body([instance(), b"no DICOM"]), Accept="application/dicom+xml, application/dicom+json;q=0.5")
    assert (answer.status, answer.headers["content-type"]) == (202, "application/dicom+xml")
    root = ET.fromstring(answer.content)  # noqa: S314  # our own
    assert root.tag == NAMESPACE + "NativeDicomModel"
    found = {a.get("tag"): [v.text for v in a.iter(NAMESPACE + "Value")] for a in root.iter(NAMESPACE + "DicomAttribute")}
    assert found["00081155"] == [ROOT + "1"]
    assert found["00081197"] == [str(0xC000)]
    assert {a.get("keyword") for a in root} == {"RetrieveURL", "ReferencedSOPSequence", "OtherFailuresSequence"}


def test_the_instances_of_a_study_are_stored_under_its_name(web: WebReceiver, spool: Spool) -> None:
    answer = post(web.address, body([instance(1), instance(2, study=ROOT + "8")]), f"/studies/{STUDY}")
    assert (answer.status, answer.stored, answer.failures) == (202, [ROOT + "1"], [0xA901])
    assert len(files(spool)) == 1


def test_a_study_is_found_behind_a_long_element_and_in_a_deflated_dataset(web: WebReceiver, spool: Spool) -> None:
    long = bytearray(instance(1))
    at = len(long) - len(dataset_of(bytes(long)))
    long[at:at] = b"\x08\x00\x01\x00OB\0\0" + (300_000).to_bytes(4, "little") + b"\0" * 300_000
    deflated = instance(2, bytes(range(256)) * 1000, syntax="1.2.840.10008.1.2.1.99")
    answer = post(web.address, body([bytes(long), deflated]), f"/studies/{STUDY}")
    assert (answer.status, answer.failures) == (200, [])
    assert sorted(datasets(spool)) == sorted([dataset_of(bytes(long)), dataset_of(deflated)])


def test_a_token_admits(start_web: StartWeb) -> None:
    token = secrets.token_hex(16)
    web = start_web(token=token)
    assert post(web.address, body([instance()]), Authorization=f"Bearer {token}").status == 200
    for wrong in ("", "Bearer", "Bearer wrong", f"Basic {token}", token, f"Bearer {token}0", "Bearer \xe9"):
        refused = post(web.address, body([instance()]), Authorization=wrong)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")


def test_many_clients_store_at_the_same_time(web: WebReceiver, spool: Spool) -> None:
    def send(first: int) -> int:
        return post(web.address, body(instance(number, b"\1\2" * 50_000) for number in range(first, first + 5))).status

    with ThreadPoolExecutor(8) as clients:
        assert set(clients.map(send, range(0, 80, 10))) == {200}
    assert len(files(spool)) == 40
    assert not being_written(spool)


def test_another_ones_client_stores_real_images_bit_for_bit(
    web: WebReceiver, spool: Spool, whole_study: Path, chest_ct: Path
) -> None:
    """dicomweb-client; images in JPEG-LS and native, a SEG among them."""
    chosen = [*sorted(whole_study.glob("*/*.dcm"))[::60], *sorted(chest_ct.glob("*.dcm"))[:5]]
    client = DICOMwebClient(f"http://127.0.0.1:{web.address[1]}")
    sent = [dcmread(path) for path in chosen]
    response = client.store_instances(sent)
    assert len(response.ReferencedSOPSequence) == len(chosen) > 8
    assert "FailedSOPSequence" not in response
    rewritten = {}  # the client writes files anew, before it sends them
    for dataset in sent:
        buffer = pydicom.filebase.DicomBytesIO()
        pydicom.dcmwrite(buffer, dataset)
        rewritten[str(dataset.SOPInstanceUID)] = dataset_of(buffer.getvalue())
    received = {str(meta(path).MediaStorageSOPInstanceUID): dataset_of(path.read_bytes()) for path in files(spool)}
    assert received == rewritten
    originals = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path.read_bytes() for path in chosen}
    assert post(web.address, body(originals.values())).status == 200
    everything = datasets(spool)
    assert all(dataset_of(file) in everything for file in originals.values())


def test_another_ones_client_is_told_of_another_study(web: WebReceiver, chest_ct: Path) -> None:
    client = DICOMwebClient(f"http://127.0.0.1:{web.address[1]}")
    sent = [dcmread(path) for path in sorted(chest_ct.glob("*.dcm"))[:2]]
    assert len(client.store_instances(sent, sent[0].StudyInstanceUID).ReferencedSOPSequence) == 2
    with pytest.raises(OSError, match="409"):
        client.store_instances(sent, "1.2.3")


def test_running_requests_end_before_the_receiver_does(start_web: StartWeb, spool: Spool) -> None:
    web = start_web()
    whole = body([instance(1), instance(2)])
    first_read, stopping = threading.Event(), threading.Event()

    def slowly() -> Any:
        yield whole[:300]
        first_read.set()
        assert stopping.wait(10)
        yield whole[300:]

    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(post, web.address, slowly())
        assert first_read.wait(10)
        stopped = pool.submit(web.stop, 10.0)
        wait_until(lambda: refuses(web.address), "no more requests")
        stopping.set()
        assert answer.result().status == 200
        stopped.result()
    assert not web.is_listening
    assert len(files(spool)) == 2


def refuses(address: tuple[str, int]) -> bool:
    try:
        post(address, b"")
    except OSError:
        return True
    return False
