"""What is not stored is said so, in the standard's words, and nothing of it remains."""

import gzip
import shutil
import ssl
import subprocess
from collections.abc import Callable
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from dicom_node.errors import ConfigurationError, TransientError
from dicom_node.receive import Peer, Spool, Watermarks
from dicom_node.receive.web import WebReceiver, WebReceiverSettings, read_token
from dicom_node.receive.web.access import is_admitted
from tests.dicom_node.receive.client import VERIFICATION
from tests.dicom_node.receive.web.stow import (
    CT,
    MULTIPART,
    ROOT,
    STUDY,
    begin,
    being_written,
    body,
    dataset_of,
    datasets,
    files,
    instance,
    post,
)
from tests.pacs_servers import wait_until

StartWeb = Callable[..., WebReceiver]
FULL = Watermarks(1 << 60, 0.0, 1 << 60, 0.0)


@pytest.fixture
def broken() -> dict[str, bytes]:
    """Parts that are no instances, by what is wrong."""
    whole = instance()
    head = whole[: len(whole) - len(dataset_of(whole))]
    return {
        "nothing": b"",
        "words": b"no DICOM at all",
        "no preamble": whole[128:],
        "no meta": b"\0" * 128 + b"DICM",
        "no dataset": head,
        "cut in the meta": whole[:200],
        "endless meta": whole[:132] + b"\x02\x00\x02\x01OB\0\0" + (1 << 31).to_bytes(4, "little") + b"\0" * 70_000,
        "long meta": whole[:132] + (b"\x02\x00\x02\x01OB\0\0" + (52).to_bytes(4, "little") + b"\0" * 52) * 1100 + whole[132:],
        "no UID": whole.replace((ROOT + "1").encode(), b"no UID".ljust(len(ROOT) + 1)),
    }


def test_what_is_no_instance_is_refused_and_the_others_are_stored(
    web: WebReceiver, spool: Spool, broken: dict[str, bytes]
) -> None:
    answer = post(web.address, body([instance(7), *broken.values(), instance(8)]))
    assert (answer.status, answer.stored) == (202, [ROOT + "7", ROOT + "8"])
    assert answer.failures == [0xC000] * len(broken)
    assert len(files(spool)) == 2
    assert not being_written(spool)


def test_broken_instances_of_a_study_are_refused(web: WebReceiver, spool: Spool, broken: dict[str, bytes]) -> None:
    whole = instance()
    at = len(whole) - len(dataset_of(whole))
    nested = (b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 5000
    garbled = [whole[:at] + b"\xff\x03" * 999, whole[: at + 20], whole[:at] + nested, whole[:at] + b"\x08\x00"]
    answer = post(web.address, body([*broken.values(), *garbled]), f"/studies/{STUDY}")
    assert (answer.status, answer.stored) == (409, [])
    assert answer.failures == [0xC000] * (len(broken) + 4)
    assert not files(spool)
    assert not being_written(spool)


def test_a_class_or_a_syntax_that_is_not_stored_is_named(web: WebReceiver) -> None:
    refused = [
        instance(1).replace(CT.encode(), VERIFICATION.encode().ljust(len(CT), b"\0")),
        instance(2, syntax=str(ImplicitVRLittleEndian)).replace(b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.9\0"),
    ]
    answer = post(web.address, body(refused))
    assert (answer.status, answer.failures) == (409, [0x0122, 0xC122])


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=a-boundary", 415),
        ('multipart/related; type="application/dicom+json"; boundary=a-boundary', 415),
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="application/dicom"; boundary=', 400),
        ('multipart/related; type="application/dicom"; boundary=' + "b" * 500, 400),
        ('multipart/related; type="application/dicom"; boundary=another', 400),
    ],
)
def test_another_kind_of_body_is_refused(web: WebReceiver, spool: Spool, content_type: str, status: int) -> None:
    assert post(web.address, body([instance()]), content_type=content_type).status == status
    assert not files(spool)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"--a-boundary--\r\n",
        body([instance()]).replace(b"\r\n", b"\n", 1),
        body([instance()])[:-20],
        b"--a-boundary\r\n",
        b"--a-boundary\r\nContent-Type application/dicom\r\n\r\n",
        b"--a-boundary\r\n" + b"A: b\r\n" * 1000,
        b"--a-boundary\r\nA: " + b"b" * 100_000,
        b"x" * 1_000_000,
    ],
    ids=["empty", "no part", "one line feed", "cut", "one boundary", "no colon", "headers", "long header", "no boundary"],
)
def test_a_malformed_body_is_refused(web: WebReceiver, spool: Spool, content: bytes) -> None:
    answer = post(web.address, content)
    assert answer.status == 400
    assert b"Traceback" not in answer.content
    assert not files(spool)
    assert not being_written(spool)


def test_what_was_stored_before_the_body_broke_is_named(web: WebReceiver, spool: Spool) -> None:
    answer = post(web.address, body([instance(1), instance(2)])[:-30])
    assert (answer.status, answer.stored) == (400, [ROOT + "1"])
    assert "ends before its last boundary" in answer.headers["warning"]
    assert len(files(spool)) == 1


def test_a_part_of_another_media_type_is_refused(web: WebReceiver) -> None:
    nested = body([body([instance()])], headers=b"Content-Type: multipart/related; boundary=b2\r\n", boundary="b1")
    content_type = MULTIPART.replace("a-boundary", "b1")
    assert post(web.address, nested, content_type=content_type).status == 415
    assert post(web.address, body([b"{}"], headers=b"Content-Type: application/dicom+json\r\n")).status == 415


def test_a_compressed_body_is_refused(web: WebReceiver) -> None:
    assert post(web.address, gzip.compress(body([instance()])), Content_Encoding="gzip").status == 415


@pytest.mark.parametrize(
    ("path", "status"), [("/", 404), ("/studies/", 404), ("/studies/a-name", 400), (f"/studies/{STUDY}/series/1", 404)]
)
def test_another_resource_is_refused(web: WebReceiver, path: str, status: int) -> None:
    assert post(web.address, body([instance()]), path).status == status


def test_an_instance_that_is_too_large_ends_the_request(start_web: StartWeb, spool: Spool) -> None:
    web = start_web(receive={"max_instance_bytes": 100_000})
    answer = post(web.address, body([instance(1), instance(2, b"\0" * 600_000), instance(3)]))
    assert (answer.status, answer.stored, answer.failures) == (413, [ROOT + "1"], [0xC000])
    assert not being_written(spool)


def test_too_many_parts_end_the_request(start_web: StartWeb, spool: Spool) -> None:
    answer = post(start_web(max_parts=3).address, body(instance(number) for number in range(5)))
    assert (answer.status, len(answer.stored), len(files(spool))) == (413, 3, 3)


def test_ten_thousand_tiny_parts_are_answered(web: WebReceiver) -> None:
    answer = post(web.address, body([b"x"] * 10_000))
    assert (answer.status, len(answer.failures)) == (409, 10_000)
    assert post(web.address, body([b"x"] * 10_001)).status == 413


def test_a_full_disk_says_when_to_come_again(start_web: StartWeb, spool: Spool) -> None:
    answer = post(start_web(receive={"watermarks": FULL}).address, body([instance(1), instance(2)]))
    assert (answer.status, answer.failures) == (503, [0xA700])
    assert int(answer.headers["retry-after"]) > 0
    assert not being_written(spool)


def test_more_requests_than_allowed_are_told_to_come_again(start_web: StartWeb, spool: Spool) -> None:
    web = start_web(max_requests=1)
    with begin(web.address, body([instance(1, b"\0" * 600_000)])[:500_000]):
        wait_until(lambda: bool(being_written(spool)), "a file is being written")
        answer = post(web.address, body([instance(2)]))
        assert answer.status == 503
        assert "retry-after" in answer.headers
    wait_until(lambda: not being_written(spool), "nothing is left")
    wait_until(lambda: post(web.address, body([instance(2)])).status == 200, "there is room again")
    assert datasets(spool) == [dataset_of(instance(2))]


def test_an_address_that_is_not_a_peers_is_refused(start_web: StartWeb, spool: Spool) -> None:
    away = start_web(receive={"peers": (Peer.of("PACS", "10.1.2.3"),)})
    assert post(away.address, body([instance()]), X_Forwarded_For="10.1.2.3").status == 403
    here = start_web(receive={"peers": (Peer.of("PACS", "10.1.2.3"), Peer.of("GATEWAY", "127.0.0.0/8"))})
    assert post(here.address, body([instance()])).status == 200


def test_a_peer_that_is_known_by_its_title_alone_admits_no_web_client() -> None:
    assert is_admitted("10.1.2.3", ())
    assert not is_admitted("10.1.2.3", (Peer.of("PACS"),))
    assert is_admitted("10.1.2.3", (Peer.of("PACS"), Peer.of("", "10.0.0.0/8")))
    assert is_admitted("10.1.2.3", (Peer.of(""),))
    assert not is_admitted("a name", (Peer.of("", "10.0.0.0/8"),))


def test_a_silent_client_is_cut_off(start_web: StartWeb, spool: Spool) -> None:
    web = start_web(idle_s=0.3)
    with begin(web.address, body([instance(1, b"\0" * 600_000)])[:500_000]) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 408")
    wait_until(lambda: not being_written(spool), "nothing is left")
    assert not files(spool)


def test_a_port_that_is_taken_is_named(web: WebReceiver) -> None:
    with pytest.raises(TransientError, match=f"127.0.0.1:{web.address[1]}"):
        WebReceiver(web.settings, WebReceiverSettings("127.0.0.1", web.address[1]), web._store).start()


def test_a_certificate_that_cannot_be_read_is_refused(start_web: StartWeb, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="certificate_file"):
        start_web(certificate_file=str(tmp_path / "none.pem"))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ConfigurationError, match="certificate_file"):
        start_web(certificate_file=str(tmp_path / "empty.pem"))


def test_a_token_file_holds_one_long_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("0123456789abcdef\n")
    token = read_token(str(path))
    assert token == path.read_text().strip()
    assert token not in repr(WebReceiverSettings(token=token))
    for text in ("", "short\n", "two words of a token\n"):
        path.write_text(text)
        with pytest.raises(ConfigurationError, match="token_file"):
            read_token(str(path))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_token(str(tmp_path / "none"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls_is_spoken_where_there_is_a_certificate(start_web: StartWeb, spool: Spool, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    web = start_web(certificate_file=str(certificate), key_file=str(key))
    connection = HTTPSConnection(*web.address, timeout=20, context=ssl.create_default_context(cafile=str(certificate)))
    connection.request("POST", "/studies", body([instance()]), {"Content-Type": MULTIPART})
    assert connection.getresponse().status == 200
    connection.close()
    assert b"https://127.0.0.1" in files(spool)[0].read_bytes()[:1000]
