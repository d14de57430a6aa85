import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.errors import ConfigurationError
from dicom_node.receive.disk import DiskGuard, accepts, file_system_of
from dicom_node.receive.settings import Watermarks

MARKS = Watermarks(refuse_below_bytes=100, refuse_below_share=0.1, resume_above_bytes=200, resume_above_share=0.2)
sizes = st.integers(0, 10_000)


def test_below_the_lower_mark_is_refused_and_above_the_upper_one_accepted_again() -> None:
    assert accepts(True, 100, 1000, MARKS)
    assert not accepts(True, 99, 1000, MARKS)
    assert not accepts(False, 200, 1000, MARKS)
    assert accepts(False, 201, 1000, MARKS)


def test_the_share_of_a_large_disk_counts_more_than_the_bytes() -> None:
    assert not accepts(True, 999, 10_000, MARKS)
    assert accepts(True, 1000, 10_000, MARKS)


@given(sizes, sizes)
def test_between_the_marks_nothing_changes(free_bytes: int, total_bytes: int) -> None:
    answers = {before: accepts(before, free_bytes, total_bytes, MARKS) for before in (True, False)}
    assert answers[True] or not answers[False]


@given(st.booleans(), sizes, sizes, sizes)
def test_more_room_never_leads_to_a_refusal(accepting: bool, free_bytes: int, more: int, total_bytes: int) -> None:
    if accepts(accepting, free_bytes, total_bytes, MARKS):
        assert accepts(accepting, free_bytes + more, total_bytes, MARKS)


def test_marks_that_cross_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="resume"):
        Watermarks(refuse_below_bytes=2, resume_above_bytes=1)


def test_a_guard_follows_what_counts_for_all_processes(tmp_path: Path) -> None:
    between = Watermarks(0, 0.0, 1 << 60, 0.0)
    guard = DiskGuard(tmp_path, between)
    assert guard.has_room()
    guard.follow(accepting=False)
    assert not guard.has_room()
    guard.follow(accepting=True)
    assert guard.has_room()


def test_the_kind_of_a_file_system_is_found_by_its_device(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mounts"
    other = "20 1 0:999 / /other rw - ext4 none rw"
    mounts.write_text(f"{other}\n21 1 {os.major(device)}:{os.minor(device)} / /a rw shared:1 - tmpfs none rw,size=1k\n")
    assert file_system_of(tmp_path, mounts) == "tmpfs"
    mounts.write_text(other)
    assert file_system_of(tmp_path, mounts) == ""
    assert file_system_of(tmp_path / "missing", mounts) == ""
