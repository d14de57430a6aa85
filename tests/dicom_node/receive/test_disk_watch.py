"""The disk is watched: one warning while there is time, and the last word for whoever asks."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_node.receive.disk import Space
from dicom_node.receive.disk_watch import DiskReport, DiskWatch
from dicom_node.receive.settings import ReceiverSettings, Watermarks

HOUR = 60
Fill = Callable[[int], None]


class Clock:
    """A minute with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watch(directory: Path, clock: Clock, refusal: Callable[[], str] = str, within_s: float = 86_400.0) -> DiskWatch:
    marks = Watermarks(0, 0.0, 0, 0.0)
    settings = ReceiverSettings("NODE", watermarks=marks, warn_full_within_s=within_s)
    return DiskWatch(directory, directory / "word.json", settings, refusal, clock)


def look_for_an_hour(
    watching: DiskWatch, clock: Clock, free: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What is logged while free space is so and so in each minute."""
    with capture_logs() as logged:
        for minute in range(HOUR):
            clock.now += 60.0
            blocks = os.statvfs_result((1, 1, 10**12, free(minute), free(minute), 0, 0, 0, 0, 255))
            monkeypatch.setattr(os, "statvfs", lambda _, blocks=blocks: blocks)
            watching.look()
    return [f"{line['log_level']} {line['event']}" for line in logged]


def test_who_fills_the_disk_is_warned_of_once_and_told_when_it_is_over(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = watch(tmp_path, clock)
    filling = look_for_an_hour(watching, clock, lambda minute: 10**9 - minute * 10**6, monkeypatch)
    assert filling == ["warning the disk will be full soon, then C-STORE is refused"]
    said = DiskReport.read(tmp_path / "word.json")
    assert said is not None
    assert said.full_in_s == pytest.approx((10**9 - 59 * 10**6) / 10**6 * 60)
    assert look_for_an_hour(watching, clock, lambda _: 10**9, monkeypatch) == ["info the disk fills no longer, or much slower"]
    emptied = DiskReport.read(tmp_path / "word.json")
    assert emptied is not None
    assert emptied.full_in_s is None


def test_who_wants_no_warning_gets_none(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    watching = watch(tmp_path, clock, within_s=0.0)
    assert look_for_an_hour(watching, clock, lambda minute: 10**9 - minute * 10**6, monkeypatch) == []


def test_a_refusal_is_said_at_once_and_since_when(tmp_path: Path, clock: Clock) -> None:
    because = [""]
    watching = watch(tmp_path, clock, lambda: because[0])
    words = []
    for because[0] in ("", "disk nearly full", "too many instances wait to be indexed", ""):
        clock.now += 1.0
        watching.look()
        word = DiskReport.read(tmp_path / "word.json")
        assert word is not None
        words.append(word)
    assert [word.refused_because for word in words] == ["", "disk nearly full", "too many instances wait to be indexed", ""]
    assert [word.refused_since is None for word in words] == [True, False, False, True]
    assert words[1].refused_since == words[2].refused_since


def test_without_room_for_the_word_the_watch_goes_on(tmp_path: Path, clock: Clock) -> None:
    watching = watch(tmp_path, clock)
    (tmp_path / "word.new").mkdir()
    watching.look()
    assert DiskReport.read(tmp_path / "word.json") is None


def test_a_file_system_that_does_not_answer_is_said_once(tmp_path: Path, clock: Clock) -> None:
    def broken() -> str:
        raise OSError(5, "Input/output error")

    watching = watch(tmp_path, clock, broken)
    with capture_logs() as logged:
        for _ in range(3):
            watching.look()
    assert [(line["log_level"], line["alarm"]) for line in logged] == [("error", True)]
    word = DiskReport.read(tmp_path / "word.json")
    assert word is not None
    assert "does not answer" in word.refused_because


@pytest.mark.parametrize("word", ["", "{", "[]", '{"at": 1}'])
def test_a_word_that_cannot_be_read_is_none(tmp_path: Path, word: str) -> None:
    (tmp_path / "word.json").write_text(word)
    assert DiskReport.read(tmp_path / "word.json") is None


def test_a_file_system_says_how_much_room_its_users_have(tmp_path: Path) -> None:
    space = Space.of(tmp_path)
    assert 0 <= space.free_bytes <= space.total_bytes
