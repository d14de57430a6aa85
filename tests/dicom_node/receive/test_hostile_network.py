"""Peers that mean harm: every try ends in an answer, an abort or a close, and the receiver is as before."""

import contextlib
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dicom_node.errors import UnreadableInstanceError
from dicom_node.headers import read_instance
from dicom_node.receive import Receiver, Spool, Timeouts
from tests.chaos.spooled import read
from tests.chaos.wire import EXPLICIT_LITTLE, VERIFICATION, Connection, Gone, associate_rq
from tests.hostile.peers import CALLED, CONTEXTS, KINDS, Kind, attempt
from tests.pacs_servers import wait_until

StartReceiver = Callable[..., Receiver]
SHORT = Timeouts(acse_s=5.0, network_s=5.0)
SPARE_THREADS = 6


@pytest.fixture
def receiver(start_receiver: StartReceiver) -> Receiver:
    return start_receiver(ae_title=CALLED, timeouts=SHORT)


def echo(receiver: Receiver) -> int:
    with Connection.open(receiver.address) as connection:
        connection.associate(CALLED, "SOUND", ((VERIFICATION, (EXPLICIT_LITTLE,)),))
        status = connection.echo(1)
        connection.release()
    return status


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, about the values that peers send
@pytest.mark.parametrize("kind", dict.fromkeys(KINDS), ids=lambda kind: kind.__name__)
@settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(seed=st.integers(0, 1 << 32))
def test_a_hostile_peer_is_answered_or_cut_off_and_harms_nobody(
    receiver: Receiver, spool: Spool, kind: Kind, seed: int
) -> None:
    assert attempt(receiver.address, random.Random(seed), kind)
    assert echo(receiver) == 0x0000
    wait_until(lambda: receiver.association_count == 0, "all associations end")
    assert not list(spool.incoming.iterdir())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_very_many_hostile_peers_leave_no_threads(receiver: Receiver) -> None:
    assert echo(receiver) == 0x0000
    before = threading.active_count()
    for seed in range(150):
        attempt(receiver.address, random.Random(f"many {seed}"))
    wait_until(lambda: threading.active_count() <= before + SPARE_THREADS, "their threads end")
    assert echo(receiver) == 0x0000


@pytest.mark.parametrize("context", [(CONTEXTS[0][0], ()), (CONTEXTS[0][0], ("",)), ("", ("1.2.840.10008.1.2",))])
def test_a_context_without_a_syntax_is_an_error_of_the_peer_only(
    receiver: Receiver, context: tuple[str, tuple[str, ...]]
) -> None:
    died: list[threading.ExceptHookArgs] = []
    before, threading.excepthook = threading.excepthook, died.append
    try:
        with Connection.open(receiver.address) as connection:
            connection.send(associate_rq(CALLED, "HOSTILE", (*CONTEXTS, context)))
            with contextlib.suppress(Gone):  # refused or accepted without that context: both are right
                connection.read_pdu()
        wait_until(lambda: receiver.association_count == 0, "the association ends")
    finally:
        threading.excepthook = before
    assert not died


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_public_broken_file_is_stored_and_indexed_or_has_a_reason(
    receiver: Receiver, spool: Spool, odd_files: Path
) -> None:
    """What stands behind the file meta header is sent as it is, in the transfer syntax that the file says."""
    sent = 0
    for path in sorted(odd_files.rglob("*.dcm")):
        content = path.read_bytes()
        if content[128:132] != b"DICM" or not (dataset := content[144 + int.from_bytes(content[140:144], "little") :]):
            continue
        with Connection.open(receiver.address) as connection:
            connection.associate(CALLED, "ODD", CONTEXTS)
            assert connection.store(1, CONTEXTS[0][0], f"1.2.3.{sent}", dataset, 10_000) == 0x0000
            connection.release()
        sent += 1
    stored = sorted(spool.instances.glob("*/*/*.dcm"))
    assert len(stored) == sent > 50
    for path in stored:
        assert read(path).sop_instance_uid.startswith("1.2.3.")
        try:
            read_instance(path, received_at=1.0)
        except UnreadableInstanceError as error:
            reason = str(error)
            assert reason
