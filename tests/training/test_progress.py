import io
from pathlib import Path

import pytest
from rich.console import Console

from training.progress import in_words, progress_bar, tensorboard_log
from training.watching import Watched, all_of


def _watched(step: int, score: float | None = None) -> Watched:
    return Watched(step, 10, 0, step * 6.0, 0.5, 1e-3, score, saved=True)


def test_the_time_left_follows_the_speed_so_far_of_this_process() -> None:
    assert Watched(60, 100, 50, 20.0, 0.5, 1e-3, None, saved=False).left_s == 80.0


def test_the_bar_tells_loss_validation_and_time_left() -> None:
    screen = io.StringIO()
    with progress_bar(Console(file=screen, force_terminal=True, width=120)) as watch:
        assert watch is not None
        watch(_watched(5, 0.875))
    assert "loss 0.500" in screen.getvalue()
    assert "validation 0.8750" in screen.getvalue()
    assert "30 s left" in screen.getvalue()


def test_there_is_no_bar_where_nobody_looks() -> None:
    with progress_bar(Console(file=io.StringIO())) as watch:
        assert watch is None


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_duration_is_told_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_curves_are_written_only_where_they_are_wanted(tmp_path: Path) -> None:
    with tensorboard_log(tmp_path / "none", wanted=False) as watch:
        watch(_watched(1))
    assert not (tmp_path / "none").exists()
    with tensorboard_log(tmp_path / "curves", wanted=True) as watch:
        all_of(watch, watch)(_watched(1, 0.5))
    written = b"".join(path.read_bytes() for path in (tmp_path / "curves").iterdir())
    assert all(name in written for name in (b"loss", b"rate", b"validation"))
