"""The courier on a real ledger, to real destinations."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicom_node.deliver.courier import Courier
from dicom_node.deliver.send import Parcel
from dicom_node.demo.pacs import EmbeddedPacs
from dicom_node.ledger import Ledger
from dicom_node.lifecycle import State
from dicom_node.model import Delivery, Destination, Result, ResultKind
from tests.answering_scp import answering_scp
from tests.owing import owe
from tests.pacs_servers import Modality, free_port, orthanc, storescp, wait_until

NODE = "DICOMNODE"
SERIES = "1.2.826.0.1.3680043.8.498.1.1"
SEG, SR, SC = SegmentationStorage, Comprehensive3DSRStorage, SecondaryCaptureImageStorage
MakeParcel = Callable[..., Parcel]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def away(name: str = "pacs", **settings: object) -> Destination:
    quick: dict[str, object] = {"network_timeout_s": 3.0, "retry_first_s": 0.05, "retry_cap_s": 0.2, **settings}
    return Destination(name, "PACS", "127.0.0.1", free_port(), **quick)  # type: ignore[arg-type]


def result(parcel: Parcel, kind: ResultKind = ResultKind.SC, rank: int = 0) -> Result:
    return Result(parcel.sop_instance_uid, parcel.sop_class_uid, SERIES, kind, rank, parcel.path)


def seg_and_sr(make_parcel: MakeParcel) -> list[Result]:
    return [result(make_parcel(1, SEG), ResultKind.SEG), result(make_parcel(2, SR), ResultKind.SR)]


def states(ledger: Ledger, destination: Destination) -> list[State]:
    return [d.state for d in sorted(ledger.deliveries.find(destination=destination.name), key=lambda d: d.delivery_id)]


def only(ledger: Ledger, destination: Destination) -> Delivery:
    (delivery,) = ledger.deliveries.find(destination=destination.name)
    return delivery


@contextmanager
def running(ledger: Ledger, destination: Destination) -> Iterator[Courier]:
    courier = Courier(ledger, destination, NODE, time.time, report_wait_s=0.2)
    stop = threading.Event()
    thread = threading.Thread(target=courier.run, args=(stop,), name=destination.name)
    thread.start()
    try:
        yield courier
    finally:
        stop.set()
        courier.wake()
        thread.join(30)
        assert not thread.is_alive()


def until(ledger: Ledger, destination: Destination, state: State, deadline_s: float = 30.0) -> None:
    def reached() -> bool:
        return set(states(ledger, destination)) == {state}

    wait_until(reached, f"all deliveries to {destination.name} {state}", deadline_s)


def drain(ledger: Ledger, destination: Destination) -> None:
    courier = Courier(ledger, destination, NODE, time.time, report_wait_s=5.0)
    while courier.run_once(time.time()):
        pass
    courier.close()


def test_results_of_a_job_go_in_order_on_one_association(ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path) -> None:
    results = seg_and_sr(make_parcel)
    with answering_scp(sop_class_uids=[SEG, SR]) as scp:
        owe(ledger, tmp_path, results, scp.destination())
        drain(ledger, scp.destination())
        assert scp.received == [r.sop_instance_uid for r in results]
        assert scp.associations == 1
        assert states(ledger, scp.destination()) == [State.DONE, State.DONE]


def test_a_pacs_that_was_down_and_comes_up_gets_its_results_without_help(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    pacs = away()
    owe(ledger, tmp_path, seg_and_sr(make_parcel), pacs)
    with running(ledger, pacs):
        wait_until(lambda: max(d.attempts for d in ledger.deliveries.find()) >= 3, "three failed attempts")
        assert states(ledger, pacs) == [State.QUEUED] * 2 or State.RUNNING in states(ledger, pacs)
        with answering_scp(sop_class_uids=[SEG, SR], port=pacs.port, ae_title="PACS") as scp:
            until(ledger, pacs, State.DONE)
            assert len(scp.received) == 2


@pytest.mark.orthanc
def test_orthanc_that_was_down_and_comes_up_holds_each_result_once(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    parcels = [make_parcel(n) for n in (1, 2)]
    with orthanc(tmp_path / "orthanc", start=False) as server:
        pacs = replace(away(), ae_title=server.ae_title, port=server.port)
        for number, parcel in enumerate(parcels):
            owe(ledger, tmp_path, [result(parcel)], pacs, number=number)
        with running(ledger, pacs):
            wait_until(lambda: max(d.attempts for d in ledger.deliveries.find()) >= 2, "two failed attempts")
            server.start()
            until(ledger, pacs, State.DONE)
        assert server.rest.sop_instance_uids() == sorted(p.sop_instance_uid for p in parcels)


def test_a_dead_destination_holds_up_no_other(ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path) -> None:
    dead = away("dead")
    with answering_scp(sop_class_uids=[SC]) as scp:
        alive = scp.destination("alive")
        owe(ledger, tmp_path, [result(make_parcel())], dead, alive)
        with running(ledger, dead), running(ledger, alive):
            until(ledger, alive, State.DONE)
            assert only(ledger, dead).state in {State.QUEUED, State.RUNNING}


def test_waiting_deliveries_do_not_hammer_a_dead_destination(ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path) -> None:
    pacs = away(retry_first_s=1000.0, retry_cap_s=1000.0)
    for number in range(5):
        owe(ledger, tmp_path, [result(make_parcel(number + 1))], pacs, number=number)
    courier = Courier(ledger, pacs, NODE, time.time)
    assert courier.run_once(time.time())
    assert not courier.run_once(time.time())
    assert sum(d.attempts for d in ledger.deliveries.find()) == 1
    owe(ledger, tmp_path, [result(make_parcel(9))], pacs, number=9)
    assert courier.run_once(time.time()), "a new result is worth another try"
    assert not courier.run_once(time.time())


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_is_stored_and_kept_for_a_person(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path, status: int
) -> None:
    with answering_scp(lambda _: status, sop_class_uids=[SC]) as scp:
        owe(ledger, tmp_path, [result(make_parcel())], scp.destination())
        drain(ledger, scp.destination())
    delivery = only(ledger, scp.destination())
    assert (delivery.state, delivery.status) == (State.DONE, status)
    assert f"{status:04X}H" in delivery.message


def test_a_full_pacs_gets_the_same_instance_again_and_again(ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path) -> None:
    answers = iter([0xA700, 0xA700, 0x0000])
    parcel = make_parcel()
    with answering_scp(lambda _: next(answers), sop_class_uids=[SC]) as scp:
        owe(ledger, tmp_path, [result(parcel)], scp.destination())
        with running(ledger, scp.destination()):
            until(ledger, scp.destination(), State.DONE)
        assert scp.received == [parcel.sop_instance_uid] * 3


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0124])
def test_a_refusal_is_a_dead_letter_that_a_person_can_requeue(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path, status: int
) -> None:
    answers = iter([status, 0x0000])
    with answering_scp(lambda _: next(answers), sop_class_uids=[SC]) as scp:
        owe(ledger, tmp_path, [result(make_parcel())], scp.destination())
        drain(ledger, scp.destination())
        refused = only(ledger, scp.destination())
        assert (refused.state, refused.status) == (State.FAILED, status)
        ledger.deliveries.requeue(refused.delivery_id, now=time.time())
        drain(ledger, scp.destination())
        assert states(ledger, scp.destination()) == [State.DONE]


def test_a_form_that_is_not_accepted_is_followed_by_the_next_fallback(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    forms = [
        result(make_parcel(1, Comprehensive3DSRStorage), ResultKind.SR, 0),
        result(make_parcel(2, ComprehensiveSRStorage), ResultKind.SR, 1),
    ]
    with answering_scp(sop_class_uids=[ComprehensiveSRStorage]) as scp:
        owe(ledger, tmp_path, forms, scp.destination())
        drain(ledger, scp.destination())
        assert scp.received == [forms[1].sop_instance_uid]
        assert states(ledger, scp.destination()) == [State.DONE]


def test_status_0122_asks_for_the_next_fallback_and_the_last_is_a_dead_letter(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    forms = [
        result(make_parcel(1, Comprehensive3DSRStorage), ResultKind.SR, 0),
        result(make_parcel(2, ComprehensiveSRStorage), ResultKind.SR, 1),
    ]
    with answering_scp(lambda _: 0x0122, sop_class_uids=[Comprehensive3DSRStorage, ComprehensiveSRStorage]) as scp:
        owe(ledger, tmp_path, forms, scp.destination())
        drain(ledger, scp.destination())
        assert scp.received == [f.sop_instance_uid for f in forms]
    assert only(ledger, scp.destination()).state is State.FAILED


def test_a_missing_result_file_is_a_dead_letter_and_the_next_is_sent(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    results = seg_and_sr(make_parcel)
    results[0].path.unlink()
    with answering_scp(sop_class_uids=[SEG, SR]) as scp:
        owe(ledger, tmp_path, results, scp.destination())
        drain(ledger, scp.destination())
        assert states(ledger, scp.destination()) == [State.FAILED, State.DONE]


@pytest.mark.dcmtk
def test_an_instance_that_a_pacs_aborts_on_is_tried_again_and_holds_up_no_other(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    with storescp(tmp_path / "scp", "--abort-after") as scp:
        pacs = replace(away(retry_first_s=1000.0, retry_cap_s=1000.0), ae_title=scp.ae_title, port=scp.port)
        for number in (1, 2):
            owe(ledger, tmp_path, [result(make_parcel(number))], pacs, number=number)
        drain(ledger, pacs)
    assert [(d.state, d.attempts) for d in ledger.deliveries.find()] == [(State.QUEUED, 1)] * 2


def test_commitment_reported_on_the_same_association_ends_the_delivery(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    with EmbeddedPacs(tmp_path / "pacs") as server:
        pacs = replace(away(storage_commitment=True), ae_title=server.ae_title, port=server.port)
        owe(ledger, tmp_path, seg_and_sr(make_parcel), pacs)
        drain(ledger, pacs)
    assert states(ledger, pacs) == [State.DONE] * 2
    assert all("committed" in d.message for d in ledger.deliveries.find())


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # pynetdicom's state machine races with a release
def test_an_instance_that_is_not_committed_is_sent_again_under_a_new_transaction(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    with EmbeddedPacs(tmp_path / "pacs") as server:
        pacs = replace(away(storage_commitment=True), ae_title=server.ae_title, port=server.port)
        parcel = make_parcel()
        owe(ledger, tmp_path, [result(parcel)], pacs)
        drain(ledger, pacs)
        delivery = only(ledger, pacs)
        ledger.deliveries.requeue(delivery.delivery_id, now=time.time())
        drain(ledger, pacs)
        assert only(ledger, pacs).state is State.DONE
        assert only(ledger, pacs).transaction_uid != delivery.transaction_uid


def test_without_a_report_the_instance_is_read_back(ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path) -> None:
    reports_nowhere = away("nowhere")
    with EmbeddedPacs(tmp_path / "pacs", reports_to=reports_nowhere) as server:
        pacs = replace(away(storage_commitment=True, commitment_wait_s=0.1), ae_title=server.ae_title, port=server.port)
        owe(ledger, tmp_path, [result(make_parcel())], pacs)
        with running(ledger, pacs):
            until(ledger, pacs, State.DONE)
    assert "read back" in only(ledger, pacs).message


def test_without_a_report_and_without_c_find_commitment_is_asked_again_under_a_new_transaction(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    with answering_scp(sop_class_uids=[SC], commitment=lambda: 0x0000) as scp:
        pacs = scp.destination(storage_commitment=True, commitment_wait_s=0.1)
        owe(ledger, tmp_path, [result(make_parcel())], pacs)
        with running(ledger, pacs):
            wait_until(lambda: len(scp.transactions) >= 3, "three requests")
        assert len(set(scp.transactions)) == len(scp.transactions)
        assert len(scp.received) == 1
    assert only(ledger, pacs).state is State.AWAITING


def test_a_destination_without_storage_commitment_ends_the_delivery_and_says_so(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    with answering_scp(sop_class_uids=[SC]) as scp:
        pacs = scp.destination(storage_commitment=True)
        owe(ledger, tmp_path, [result(make_parcel())], pacs)
        drain(ledger, pacs)
    assert only(ledger, pacs).state is State.DONE
    assert "not offered" in only(ledger, pacs).message


@pytest.mark.orthanc
def test_a_read_back_from_orthanc_ends_the_delivery(ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc", modalities=[Modality("node", NODE, free_port())]) as server:
        pacs = replace(away(read_back=True), ae_title=server.ae_title, port=server.port)
        owe(ledger, tmp_path, [result(make_parcel())], pacs)
        drain(ledger, pacs)
    assert states(ledger, pacs) == [State.DONE]


def test_an_interruption_between_store_and_ledger_sends_the_same_instance_again(
    ledger: Ledger, make_parcel: MakeParcel, tmp_path: Path
) -> None:
    parcel = make_parcel()
    with EmbeddedPacs(tmp_path / "pacs") as server:
        pacs = replace(away(), ae_title=server.ae_title, port=server.port)
        owe(ledger, tmp_path, [result(parcel)], pacs)
        claimed = ledger.deliveries.claim(pacs.name, time.time())
        assert claimed is not None  # here the process was killed
        ledger.deliveries.release_interrupted(time.time())
        drain(ledger, pacs)
        assert states(ledger, pacs) == [State.DONE]
        assert [p.stem for p in server.archive.paths()] == [parcel.sop_instance_uid]
