"""What is periodic goes on, whatever one of its runs does."""

import threading

import pytest
from structlog.testing import capture_logs

from dicom_node.errors import TransientError
from dicom_node.schedule import Periodic, Schedule
from tests.pacs_servers import wait_until

PATIENT = "Doe^Jane"
ONCE_S = 3600.0
OFTEN_S = 0.02


@pytest.fixture
def run():
    """Starts a schedule, which ends with the test."""
    started = []

    def start(*periodics: Periodic) -> Schedule:
        schedule = Schedule(periodics)
        schedule.start()
        started.append(schedule)
        return schedule

    yield start
    for schedule in started:
        schedule.stop()


def test_an_action_runs_at_the_start_and_not_before(run):
    done = threading.Event()
    schedule = Schedule([Periodic("once", ONCE_S, done.set)])
    assert not done.is_set()
    schedule.start()
    assert done.wait(10)
    schedule.stop()


def test_actions_run_again_and_again(run):
    runs = []
    run(Periodic("often", OFTEN_S, lambda: runs.append(1)))
    wait_until(lambda: len(runs) >= 3, "three runs", 10)


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError(PATIENT), "ValueError"), (TransientError("the disk is full"), "the disk is full")]
)
def test_a_failure_is_named_without_the_words_of_others_and_the_action_runs_again(run, error, reason):
    runs = []

    def fail() -> None:
        runs.append(1)
        raise error

    with capture_logs() as logs:
        schedule = run(Periodic("sweep", OFTEN_S, fail))
        wait_until(lambda: len(runs) >= 2 and len(logs) >= 2, "it ran again", 10)
        schedule.stop()
    assert (logs[0]["action"], logs[0]["reason"], logs[0]["alarm"]) == ("sweep", reason, True)
    assert PATIENT not in str(logs)


def test_a_slow_action_holds_up_no_other_and_never_overlaps_itself(run):
    release, inside, quick = threading.Event(), [], []

    def slow() -> None:
        inside.append(1)
        release.wait(30)
        inside.pop()

    run(Periodic("slow", OFTEN_S, slow), Periodic("quick", OFTEN_S, lambda: quick.append(1)))
    wait_until(lambda: len(quick) >= 5 and bool(inside), "the quick one runs", 10)
    assert len(inside) == 1
    release.set()


def test_stop_waits_for_what_runs_and_starts_nothing_more(run):
    begun, release, ended = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        release.wait(30)
        ended.append(1)

    schedule = run(Periodic("work", ONCE_S, work))
    assert begun.wait(10)
    threading.Timer(0.1, release.set).start()
    schedule.stop()
    assert ended == [1]
    schedule.stop()
    assert ended == [1]
