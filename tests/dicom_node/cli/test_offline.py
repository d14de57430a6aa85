"""explain and infer: on a folder without a network, and on what a node has stored."""

import os
import shutil

import pydicom
import pytest

from tests.dicom_node.cli.program import ENGINE, answer, configuration, dicom_node
from tests.node_process import EXAMPLE_ENGINE
from tests.synthetic_ct import Variant, write_ct


@pytest.fixture
def config(tmp_path):
    return configuration(tmp_path)


def written(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.fixture(scope="module")
def analysed(tmp_path_factory, thorax):
    """The results of `infer` for people, in a folder."""
    folder = tmp_path_factory.mktemp("analysed")
    done = dicom_node("infer", "body-air", thorax.directory, "--output", folder / "out", config=configuration(folder))
    assert done.returncode == 0, done.stderr
    assert "Series 2, AXIAL LUNG: Air" in done.stdout
    return folder / "out"


def test_infer_again_gives_the_same_bytes_and_tells_scripts_what_it_made(tmp_path, config, thorax, analysed):
    (told,) = answer("infer", "body-air", thorax.directory, "--output", tmp_path / "out", config=config)
    assert written(tmp_path / "out") == written(analysed)
    assert set(written(analysed)) == {"seg.dcm", "sr.dcm", "overlay.png"}
    assert (told["outcome"], told["problems"]) == ("findings", [])
    assert [s["label"] for s in told["found"]] == ["Air"]
    for result in told["results"]:
        assert pydicom.dcmread(result["path"]).SOPInstanceUID == result["sop_instance_uid"]


def test_a_copy_with_other_file_dates_and_names_gives_the_same_bytes(tmp_path, config, thorax, analysed):
    copy = tmp_path / "copy" / "deeper"
    copy.mkdir(parents=True)
    for number, path in enumerate(reversed(thorax.paths)):
        os.utime(shutil.copyfile(path, copy / f"IM{number:04d}"), (1e9 + number, 1e9 + number))
    answer("infer", "body-air", tmp_path / "copy", "--output", tmp_path / "out", config=config)
    assert written(tmp_path / "out") == written(analysed)


def test_several_series_go_into_a_folder_each_and_one_can_be_chosen(tmp_path, config, thorax, analysed):
    both = tmp_path / "both"
    shutil.copytree(thorax.directory, both / "1")
    write_ct(both / "2", "axial", slices=20, rows=64, salt="another")
    told = answer("infer", "body-air", both, "--output", tmp_path / "out", config=config)
    folders = sorted((tmp_path / "out").iterdir())
    assert len(told) == len(folders) == 2
    for folder in folders:
        assert folder.name.startswith("series-2-")
        assert set(written(folder)) == set(written(analysed))
    answer("infer", "body-air", both, "--output", tmp_path / "one", "--series", thorax.series_instance_uid, config=config)
    assert written(tmp_path / "one") == written(analysed)


def test_a_series_that_cannot_be_analysed_gives_a_report_and_status_3(tmp_path, config):
    write_ct(tmp_path / "hole", "hole", slices=20, rows=64)
    (told,) = answer("infer", "body-air", tmp_path / "hole", "--output", tmp_path / "out", config=config, status=3)
    assert told["outcome"] == "not analysed"
    assert [result["kind"] for result in told["results"]] == ["SR"]


@pytest.mark.parametrize("command", ["infer", "explain"])
def test_a_folder_without_dicom_gives_status_3(tmp_path, config, command):
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "letter.txt").write_text("Dear colleague")
    infer = ["infer", "body-air", folder, "--output", tmp_path / "out"]
    done = dicom_node(*(infer if command == "infer" else ["explain", folder]), config=config)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_engine_is_answered_with_those_that_there_are(tmp_path, config, thorax):
    done = dicom_node("infer", "lungs", thorax.directory, "--output", tmp_path / "out", config=config)
    assert done.returncode == 1
    assert "'lungs'" in done.stderr
    assert "lung-segmentation" in done.stderr
    assert "body-air" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_engine_that_raises_is_named_with_the_place(tmp_path, thorax):
    engine = tmp_path / "broken.py"
    engine.write_text(
        EXAMPLE_ENGINE.read_text().replace("  mask = np", '  raise ValueError("out of ideas")\n        mask = np')
    )
    config = configuration(tmp_path, ENGINE.replace(str(EXAMPLE_ENGINE), str(engine)))
    done = dicom_node("infer", "body-air", thorax.directory, "--output", tmp_path / "out", config=config)
    assert done.returncode == 1
    assert "ValueError: out of ideas" in done.stderr
    assert "broken.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_explain_says_why_an_engine_runs_or_does_not(tmp_path, config, thorax):
    shutil.copytree(thorax.directory, tmp_path / "study" / "ct")
    write_ct(tmp_path / "study" / "scout", "one_slice", rows=64)
    (tmp_path / "study" / "README").write_text("no DICOM")
    told = answer("explain", tmp_path / "study", config=config)
    by_count = {series["instances"]: series["decisions"][0] for series in told["series"]}
    assert by_count[len(thorax.paths)]["chosen"]
    assert all(decision["reason"] for decision in by_count.values())
    assert [entry["path"] for entry in told["unreadable"]] == [str(tmp_path / "study" / "README")]
    table = dicom_node("explain", tmp_path / "study", config=config)
    assert table.returncode == 0
    assert "the rule matches" in table.stdout
    assert "Files that were left out" in table.stdout


def test_texts_of_a_scanner_are_no_markup(tmp_path, config):
    series = write_ct(tmp_path / "ct", Variant(), slices=3, rows=64, salt="markup")
    for path in series.paths:
        dataset = pydicom.dcmread(path)
        dataset.SeriesDescription = "[/b] [red]THORAX[/] :lungs:"
        dataset.save_as(path)
    done = dicom_node("explain", tmp_path / "ct", config=config)
    assert done.returncode == 0, done.stderr
    assert "[/b] [red]THORAX[/] :lungs:" in done.stdout


@pytest.mark.dcmtk
def test_explain_finds_a_stored_study_by_accession_number_or_uid(worked):
    for term in ("ACC0001", worked.series.study_instance_uid, worked.series.series_instance_uid):
        told = answer("explain", term, config=worked.node.configuration)
        decisions = {s["series_instance_uid"]: s["decisions"][0] for s in told["series"]}
        assert decisions[worked.series.series_instance_uid]["chosen"]


def test_explain_of_something_unknown_says_where_it_looked(config):
    done = dicom_node("explain", "NO-SUCH-STUDY", config=config)
    assert done.returncode == 1
    assert "no ledger" in done.stderr
