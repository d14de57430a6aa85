"""What the demonstration empties, and what it sends."""

from pathlib import Path

import pytest

from dicom_node.demo.run import Demo, prepare
from dicom_node.errors import NodeError
from tests.synthetic_ct import Variant, write_ct


def nothing(what: str, done: int, total: int) -> None:
    """Tells nobody."""


def test_only_dicom_instances_are_sent(tmp_path: Path) -> None:
    series = write_ct(tmp_path / "study", Variant(), slices=3)
    (tmp_path / "study" / "README.txt").write_text("not an image")
    sent = prepare(Demo(tmp_path / "demo"), tmp_path / "study", nothing)
    assert len(sent) == len(series.sop_instance_uids) == 3


def test_a_folder_that_is_no_demonstration_is_not_emptied(tmp_path: Path) -> None:
    precious = tmp_path / "home" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("three years of work")
    with pytest.raises(NodeError, match="something else than a demonstration"):
        prepare(Demo(precious.parent), None, nothing)
    assert precious.exists()


def test_a_study_that_would_be_emptied_is_refused(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "demo")
    write_ct(demo.source, Variant(), slices=3)
    with pytest.raises(NodeError, match="which is emptied first"):
        prepare(demo, demo.source, nothing)
    assert len(list(demo.source.rglob("*.dcm"))) == 3


def test_an_earlier_demonstration_is_made_anew(tmp_path: Path) -> None:
    write_ct(tmp_path / "study", Variant(), slices=3)
    demo = Demo(tmp_path / "demo")
    prepare(demo, tmp_path / "study", nothing)
    (demo.directory / "node.log").write_text("of the last time")
    assert len(prepare(demo, tmp_path / "study", nothing)) == 3
    assert not (demo.directory / "node.log").exists()
