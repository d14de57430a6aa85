"""The demonstration: a study from a PACS through the node and back."""

import subprocess
import sys

import pydicom
import pytest

from dicom_node.demo import run as demonstration
from dicom_node.demo.embedded import EmbeddedDemoPacs
from tests.pacs_servers import program
from tests.synthetic_ct import write_ct

SLICES = 30


def write_study(folder, rows):
    write_ct(folder / "ct", slices=SLICES, rows=rows)
    return folder


def kinds(folder):
    return sorted(pydicom.dcmread(path, stop_before_pixels=True).Modality for path in folder.iterdir())


@pytest.mark.orthanc
def test_a_study_goes_from_orthanc_through_the_node_and_back(tmp_path):
    program("Orthanc")
    study = write_study(tmp_path / "study", rows=96)
    demo = tmp_path / "demo"
    command = [sys.executable, "-m", "dicom_node.cli", "demo", str(study), "--directory", str(demo)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"PACS: Orthanc; {SLICES} instances sent, 2 results came back" in done.stdout
    assert "Everything that came back is what the node made" in done.stdout
    assert kinds(demo / "results") == ["SEG", "SR"]
    assert len(list((demo / "source").iterdir())) == SLICES
    assert len(list(demo.glob("*overlay.png"))) == 1


def test_the_embedded_pacs_does_the_same_where_orthanc_is_not_installed(tmp_path, monkeypatch):
    study = write_study(tmp_path / "study", rows=64)  # too coarse for the engine: quick, and a report says so
    monkeypatch.setattr(demonstration, "installed", lambda: None)
    steps = []
    demo = demonstration.Demo(tmp_path / "demo")
    files = demonstration.prepare(demo, study, lambda *step: steps.append(step))
    shown = demonstration.run(demo, files, lambda *step: steps.append(step))
    assert shown.pacs == EmbeddedDemoPacs.name
    assert shown.sent_count == SLICES
    assert kinds(demo.results) == ["SR"]
    sent = [done for what, done, _ in steps if what.startswith("sending from")]
    assert sent == list(range(1, SLICES + 1))


def test_a_folder_without_files_is_one_sentence_and_status_1(tmp_path):
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-m", "dicom_node.cli", "demo", str(tmp_path / "empty"), "--directory", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "holds no file" in done.stderr
    assert "Traceback" not in done.stderr
