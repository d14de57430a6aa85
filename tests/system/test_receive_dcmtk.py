"""Receiving from DCMTK's senders: what they are told is kept is kept, bit for bit, whoever is killed meanwhile."""

import hashlib
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from dicom_node.receive import Backpressure, DiskGuard, Receiver, ReceiverSettings, Spool, SpoolStore, Watermarks
from tests.dicom_node.receive import receiver_program
from tests.dicom_node.receive.client import CT, UID_ROOT, associated, store
from tests.pacs_servers import Server, free_port, program, storescp, wait_until

pytestmark = pytest.mark.dcmtk

ROOT = Path(__file__).parents[2]
NO_WATERMARKS = Watermarks(0, 0.0, 0, 0.0)
PROPOSALS = {  # what storescu must be told to propose a transfer syntax
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}


def dataset_bytes(path: Path) -> bytes:
    """What stands behind the file meta header."""
    content = path.read_bytes()
    assert content[128:132] == b"DICM"
    return content[144 + int.from_bytes(content[140:144], "little") :]


def digests(files: Sequence[Path]) -> Counter[str]:
    return Counter(hashlib.sha256(dataset_bytes(path)).hexdigest() for path in files)


@pytest.fixture(scope="module")
def as_sent(chest_ct: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """Digest of what storescu sends for each slice, by storescp's own account: storescu writes some lengths anew."""
    files = sorted(chest_ct.rglob("*.dcm"))
    with storescp(tmp_path_factory.mktemp("reference"), "-B") as reference:
        run(storescu(reference.port, files, called="STORESCP"))
        digest_by_uid = {
            str(read_file_meta_info(path).MediaStorageSOPInstanceUID): hashlib.sha256(dataset_bytes(path)).hexdigest()
            for path in reference.files()
        }
    return {path: digest_by_uid[str(read_file_meta_info(path).MediaStorageSOPInstanceUID)] for path in files}


def stored(spool: Spool) -> list[Path]:
    return sorted(spool.instances.rglob("*.dcm"))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def receiver(spool: Spool) -> Iterator[Receiver]:
    settings = ReceiverSettings("NODE", host="127.0.0.1", port=0, watermarks=NO_WATERMARKS)
    running = Receiver(
        settings, SpoolStore(spool, Backpressure(DiskGuard(spool.root, NO_WATERMARKS), 1000), lambda stored: None)
    ).start()
    yield running
    running.stop()


def storescu(port: int, files: Sequence[Path], *options: str, called: str = "NODE") -> list[str]:
    return [program("storescu"), "-v", "-aec", called, *options, "127.0.0.1", str(port), *map(str, files)]


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TCP_NODELAY": "1"}  # DCMTK leaves Nagle on otherwise: 40 ms an instance
    return subprocess.run(command, capture_output=True, text=True, timeout=300, errors="replace", env=environment)


def echo(port: int, called: str = "NODE") -> subprocess.CompletedProcess[str]:
    return run([program("echoscu"), "-aec", called, "127.0.0.1", str(port)])


def test_echoscu_is_answered_and_a_wrong_called_ae_title_rejected(receiver: Receiver) -> None:
    port = receiver.address[1]
    assert echo(port).returncode == 0
    refused = echo(port, "OTHER")
    assert refused.returncode != 0
    assert "Called AE Title Not Recognized" in refused.stdout + refused.stderr


def readable_syntax(path: Path) -> str:
    try:
        return str(read_file_meta_info(path).get("TransferSyntaxUID", ""))
    except InvalidDicomError:
        return ""


@pytest.mark.parametrize("transfer_syntax_uid", PROPOSALS, ids=lambda uid: UID(uid).keyword)
def test_every_transfer_syntax_is_stored_as_storescp_stores_it_bit_preserving(
    odd_files: Path, receiver: Receiver, spool: Spool, tmp_path: Path, transfer_syntax_uid: str
) -> None:
    files = [p for p in sorted(odd_files.rglob("*.dcm")) if readable_syntax(p) == transfer_syntax_uid][:8]
    if not files:
        pytest.skip("no such file among the odd files")
    options = ("-nh", PROPOSALS[transfer_syntax_uid])
    run(storescu(receiver.address[1], files, *options))
    with storescp(tmp_path / "reference", "-B", "+xa", "-uf") as reference:
        run(storescu(reference.port, files, *options, called="STORESCP"))
        expected = [p for p in reference.files() if p.is_file()]
        assert expected
        padded = transfer_syntax_uid == DeflatedExplicitVRLittleEndian  # sent with an even length; storescp drops the padding
        received = {content.rstrip(b"\0") if padded else content for content in map(dataset_bytes, stored(spool))}
        assert {content.rstrip(b"\0") if padded else content for content in map(dataset_bytes, expected)} <= received
    assert {str(read_file_meta_info(path).TransferSyntaxUID) for path in stored(spool)} == {transfer_syntax_uid}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, about what is odd in the files
def test_every_odd_file_is_stored_bit_for_bit(odd_files: Path, receiver: Receiver, spool: Spool) -> None:
    sent = []
    for path in sorted(odd_files.rglob("*")):
        syntax = readable_syntax(path) if path.suffix == ".dcm" else ""
        if not syntax:
            continue
        meta = read_file_meta_info(path)
        sop_class_uid, dataset = str(meta.get("MediaStorageSOPClassUID") or CT), dataset_bytes(path)
        with associated(receiver.address, contexts=[(sop_class_uid, (syntax,))]) as association:
            answer = store(association, dataset, str(meta.get("MediaStorageSOPInstanceUID") or UID_ROOT + "1"), sop_class_uid)
        assert answer.Status == 0x0000, path.name
        sent.append(hashlib.sha256(dataset).hexdigest())
    assert len(sent) > 90
    assert digests(stored(spool)) == Counter(sent)


def test_five_interleaved_associations_store_everything_once(
    as_sent: dict[Path, str], receiver: Receiver, spool: Spool
) -> None:
    files = list(as_sent)
    shares = [files[number::5] for number in range(5)]
    with ThreadPoolExecutor(5) as pool:
        results = list(pool.map(lambda share: run(storescu(receiver.address[1], share)), shares))
    assert [result.returncode for result in results] == [0] * 5
    assert digests(stored(spool)) == Counter(as_sent.values())


def test_a_sender_that_is_killed_leaves_whole_files_and_a_receiver_that_goes_on(
    as_sent: dict[Path, str], receiver: Receiver, spool: Spool
) -> None:
    files, port = list(as_sent), receiver.address[1]
    sender = subprocess.Popen(storescu(port, files), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(stored(spool)) >= 10, "ten instances")
    sender.kill()
    sender.wait()
    wait_until(lambda: receiver.association_count == 0, "the association to end")
    arrived = digests(stored(spool))
    assert 10 <= arrived.total() < len(files)
    assert not arrived - Counter(as_sent.values())
    assert not list(spool.incoming.iterdir())
    assert echo(port).returncode == 0


@contextmanager
def receiver_process(spool: Spool, port: int, log: Path, *prefix: str) -> Iterator[Server]:
    command = [*prefix, sys.executable, str(receiver_program.__file__), str(spool.root), str(port)]
    server = Server(command, [port], log, {"PYTHONPATH": str(ROOT)})
    try:
        yield server.start()
    finally:
        server.stop()


_SENDING = re.compile(r"^I: Sending file: (.+)$")
_SUCCESS = "I: Received Store Response (Success)"


def acknowledged(output: str) -> list[Path]:
    """The files that storescu says were stored."""
    files, current = [], None
    for line in output.splitlines():
        if sending := _SENDING.match(line):
            current = Path(sending[1])
        elif line.startswith(_SUCCESS) and current is not None:
            files.append(current)
    return files


@pytest.mark.parametrize("seed", range(5))
def test_a_receiver_that_is_killed_has_kept_everything_it_acknowledged(
    as_sent: dict[Path, str], spool: Spool, tmp_path: Path, seed: int
) -> None:
    files, port, log = list(as_sent), free_port(), tmp_path / "receiver.log"
    with receiver_process(spool, port, log) as server, ThreadPoolExecutor(2) as pool:
        process = server.process
        assert process is not None
        senders = [pool.submit(run, storescu(port, files[half::2])) for half in range(2)]
        enough = random.Random(seed).randrange(1, 60)
        wait_until(lambda: len(stored(spool)) >= enough, "some instances")
        process.kill()
        told = [path for sender in senders for path in acknowledged(sender.result().stdout + sender.result().stderr)]
    assert told
    assert not Counter(as_sent[path] for path in told) - digests(stored(spool))
    with receiver_process(spool, port, log):
        assert not list(spool.incoming.iterdir())
        assert run(storescu(port, files[:1])).returncode == 0


def test_a_receiver_that_is_terminated_lets_the_sender_finish(as_sent: dict[Path, str], spool: Spool, tmp_path: Path) -> None:
    files, port = list(as_sent), free_port()
    with receiver_process(spool, port, tmp_path / "receiver.log") as server, ThreadPoolExecutor(1) as pool:
        sender = pool.submit(run, storescu(port, files))
        wait_until(lambda: len(stored(spool)) >= 5, "some instances")
        server.stop()
        assert sender.result().returncode == 0
    assert digests(stored(spool)) == Counter(as_sent.values())


def test_nothing_is_acknowledged_before_file_and_names_are_on_stable_storage(
    as_sent: dict[Path, str], spool: Spool, tmp_path: Path
) -> None:
    trace, port = tmp_path / "trace", free_port()
    calls = "trace=fsync,rename,sendto"
    strace = [program("strace"), "-D", "-f", "-z", "-y", "-s", "4", "-o", str(trace), "-e", calls]
    if run([*strace, "true"]).returncode != 0:
        pytest.skip("strace may not trace here")
    with receiver_process(spool, port, tmp_path / "receiver.log", *strace):
        assert run(storescu(port, list(as_sent)[:1])).returncode == 0
        wait_until(lambda: '"\\4\\0' in trace.read_text(), "the response in the trace")
    lines = [line.partition(" ")[2].strip() for line in trace.read_text().splitlines()]
    response = next(number for number, line in enumerate(lines) if line.startswith("sendto") and '"\\4\\0' in line)
    (path,) = stored(spool)
    expected = [
        ("fsync", "/instances>"),  # the name of the day
        ("fsync", f"/{path.parent.parent.name}>"),  # the name of the minute
        ("rename", f'"{spool.incoming}'[:5]),
        ("fsync", f"/{path.name}>"),  # the bytes
        ("fsync", f"/{path.parent.name}>"),  # the name of the file
    ]
    before = [line for line in lines[:response] if not line.startswith("sendto")][-len(expected) :]
    assert all(line.startswith(call) and word in line for line, (call, word) in zip(before, expected, strict=True)), before
