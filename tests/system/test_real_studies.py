"""Real images over the real network: from DCMTK and from Orthanc to the node and back into Orthanc."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.ledger import Why
from dicom_node.lifecycle import State
from tests.dicom_node.receive.client import UID_ROOT, associated, store
from tests.node_process import AE_TITLE, BODY_AIR, LUNGS, Node, Target, dcmsend, node
from tests.pacs_servers import LOOPBACK, Forwarding, orthanc, program
from tests.returned_results import Returned, accept, own_files, returned

LUNG_ML = (800.0, 5000.0)
DEADLINE_S = 300.0
SHORT = 5
NOT_RUN = {
    "CT SCOUT": "no image to analyse: 1 x localizer",
    "PT PET AC": "Modality PT is not CT",
    "RWV PET SUV Factors": "no image to analyse: 1 x Real World Value Mapping Storage",
    **dict.fromkeys(
        ("SEG Segmentation", "SEG PT-Segmentation", "SEG PT - 2 - Segmentation"),
        "no image to analyse: 1 x Segmentation Storage",
    ),
}
EVERYTHING = BODY_AIR.replace('"CT"', '["CT", "MR", "NM", "SM", "DX", "CR", "OT", "US"]')
"""Also what body-air refuses itself."""


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _study_of(folder: Path) -> str:
    return str(pydicom.dcmread(next(path for path in _files(folder)), stop_before_pixels=True).StudyInstanceUID)


def _why(running: Node, study_instance_uid: str) -> Why:
    with running.ledger() as ledger:
        (why,) = ledger.views.why(study_instance_uid)
    return why


def _as_the_node_made_it(running: Node, results: Returned) -> None:
    """What the PACS holds has every element of the node's own files."""
    own = own_files(running)
    for dataset in (results.seg, results.report):
        assert dataset == pydicom.dcmread(own[str(dataset.SOPInstanceUID)])


def _lungs_ml(seg: Dataset) -> dict[str, float]:
    """Volume by label, and the side checked: the left lung has the larger x (LPS)."""
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    area = float(np.prod([float(spacing) for spacing in measures.PixelSpacing]))
    labels = {int(s.SegmentNumber): str(s.SegmentLabel) for s in seg.SegmentSequence}
    ml = dict.fromkeys(labels.values(), 0.0)
    x: dict[str, list[float]] = {label: [] for label in labels.values()}
    for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        label = labels[int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)]
        left = float(groups.PlanePositionSequence[0].ImagePositionPatient[0])
        ml[label] += frame.sum() * area * float(measures.SpacingBetweenSlices) / 1000
        x[label] += [left + float(measures.PixelSpacing[1]) * np.nonzero(frame)[1].mean()]
    assert np.mean(x["Left lung"]) > np.mean(x["Right lung"])
    return ml


def _plausible(seg: Dataset) -> None:
    volumes = _lungs_ml(seg)
    assert all(LUNG_ML[0] < ml < LUNG_ML[1] for ml in volumes.values()), volumes


def test_a_chest_ct_from_dcmtk_comes_back_into_orthanc_with_both_lungs(tmp_path: Path, chest_ct: Path) -> None:
    with (
        orthanc(tmp_path / "orthanc") as pacs,
        node(tmp_path / "node", Target("pacs", pacs.ae_title, pacs.port), engines=LUNGS) as running,
    ):
        files = _files(chest_ct)
        sent = dcmsend(running.port, files)
        assert sent.returncode == 0, sent.stderr
        running.wait_settled(len(files), DEADLINE_S)
        results = returned([*pacs.rest.datasets(Modality="SEG"), *pacs.rest.datasets(Modality="SR")], _study_of(chest_ct))
        _as_the_node_made_it(running, results)
        _plausible(results.seg)
        accept(chest_ct, results, tmp_path / "results")


@pytest.mark.parametrize("forwarding", ["instances", pytest.param("stable study", marks=pytest.mark.slow)])
def test_a_whole_study_that_orthanc_forwards_comes_back_with_one_result_of_the_right_series(
    tmp_path: Path, whole_study: Path, forwarding: Forwarding
) -> None:
    files, study = _files(whole_study), _study_of(whole_study)
    with (
        node(tmp_path / "node", start=False, engines=LUNGS) as running,
        orthanc(tmp_path / "orthanc", forward=(running.modality(), forwarding)) as pacs,
    ):
        running.add(Target("pacs", pacs.ae_title, pacs.port))
        running.start()
        for path in files:
            pacs.rest.upload(path)
        running.wait_settled(len(files), DEADLINE_S)
        results = returned([*pacs.rest.datasets(Modality="SEG"), *pacs.rest.datasets(Modality="SR")], study, running)
        _as_the_node_made_it(running, results)
        _plausible(results.seg)
        _everything_is_explained(_why(running, study))
        assert running.status().quarantined == 0
        own = [i for uid in own_files(running) for i in pacs.rest.find(SOPInstanceUID=uid)]
        pacs.rest.store("node", own)
        running.wait_settled(len(files) + len(own))
        _our_results_are_left_alone(running, results)
    accept(_analysed(whole_study, results.seg), results, tmp_path / "results")


def _analysed(study: Path, seg: Dataset) -> Path:
    """The folder of the series that the SEG is of; the PET series contradicts itself in what dcentvfy compares."""
    uid = seg.ReferencedSeriesSequence[0].SeriesInstanceUID
    headers = ((path, pydicom.dcmread(path, specific_tags=["SeriesInstanceUID"])) for path in _files(study))
    return next(path.parent for path, header in headers if uid == header.SeriesInstanceUID)


def _everything_is_explained(why: Why) -> None:
    told = {f"{s.modality} {s.series_description}": decision for s in why.series for decision in s.decisions}
    assert len(told) == len(why.series)
    assert [name for name, decision in told.items() if decision.chosen] == ["CT CT IMAGES"]
    assert {name: decision.reason for name, decision in told.items() if not decision.chosen} == NOT_RUN


def _our_results_are_left_alone(running: Node, results: Returned) -> None:
    """What the PACS sends back to its maker is kept, and nothing is run on it."""
    why = _why(running, str(results.seg.StudyInstanceUID))
    for dataset in (results.seg, results.report):
        (series,) = (s for s in why.series if s.series_instance_uid == dataset.SeriesInstanceUID)
        assert [d.reason for d in series.decisions] == ["a result of this node: engines never run on their own output"]
    with running.ledger() as ledger:
        assert len(ledger.jobs.find()) == 1


@dataclass(frozen=True)
class OddFiles:
    """A node that everything was sent to, and the SOP Instance UIDs under which it acknowledged."""

    node: Node
    sources: list[Path]
    acknowledged: set[str]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, odd_files: Path) -> Iterator[OddFiles]:
    """What DCMTK sends comes from DCMTK; what it refuses is sent byte by byte as if it were a CT image."""
    directory = tmp_path_factory.mktemp("odd")
    sources = [path for path in _files(odd_files) if path.name != "index.json"]
    with node(directory / "node", engines=EVERYTHING) as running:
        report = directory / "sent.txt"
        dcmsend(running.port, sources, "--no-halt", "--create-report-file", str(report))
        blocks = [b for b in report.read_text(errors="replace").split("\n\n") if "DIMSE Status  : 0x0000" in b]
        sent = {path for path in sources if any(f"{path}\n" in block for block in blocks)}
        uids = {str(pydicom.dcmread(path, force=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in sent}
        uids |= set(_send_raw(running, [path for path in sources if path not in sent]))
        running.wait_settled(len(sources) // 2, DEADLINE_S)
        yield OddFiles(running, sources, uids)


def _send_raw(running: Node, paths: list[Path]) -> Iterator[str]:
    """SOP Instance UIDs of those that were accepted."""
    for number, path in enumerate(paths):
        with associated((LOOPBACK, running.port), called=AE_TITLE) as association:
            uid = f"{UID_ROOT}{number}"
            if store(association, path.read_bytes(), uid).Status == 0:
                yield uid


def _spooled(running: Node) -> dict[Path, str]:
    """SOP Instance UID of every file received, in quarantine or not."""
    files = _files(running.state / "spool")
    return {path: str(pydicom.filereader.read_file_meta_info(path).MediaStorageSOPInstanceUID) for path in files}


def test_odd_files_that_were_acknowledged_are_kept_and_indexed(odd: OddFiles) -> None:
    spooled = _spooled(odd.node)
    assert len(odd.acknowledged) > 70
    assert odd.acknowledged == set(spooled.values())
    with odd.node.ledger() as ledger:
        assert set(spooled) == ledger.instances.known_paths()


def test_every_odd_file_is_in_quarantine_or_in_a_series_that_is_decided(odd: OddFiles) -> None:
    with odd.node.ledger() as ledger:
        told = {uid: ledger.views.why(uid) for uid in odd.acknowledged}
        aside = {_spooled(odd.node)[quarantined.path] for quarantined in ledger.instances.quarantined()}
        jobs = ledger.jobs.find()
    assert {uid for uid, found in told.items() if not found} <= aside
    series = {s.series_instance_uid: s for found in told.values() for why in found for s in why.series}
    assert len(series) > 50
    assert not any(s.open for s in series.values())
    assert all([bool(decision.reason) for decision in s.decisions] == [True] for s in series.values())
    assert {job.state for job in jobs} == {State.DONE}


def test_a_node_that_got_odd_files_answers_c_echo_and_receives(odd: OddFiles, small_ct: list[Path]) -> None:
    echo = [program("echoscu"), "-aec", AE_TITLE, LOOPBACK, str(odd.node.port)]
    assert subprocess.run(echo, timeout=60).returncode == 0
    assert dcmsend(odd.node.port, small_ct[:1]).returncode == 0


def test_logs_of_odd_files_hold_no_traceback_and_no_patient(odd: OddFiles) -> None:
    logs = "\n".join(path.read_text(errors="replace") for path in odd.node.directory.glob("*.log"))
    assert "series closed" in logs
    assert "Traceback" not in logs
    assert [value for value in _patients(odd.sources) if value in logs] == []


def _patients(paths: list[Path]) -> set[str]:
    """Names and identifiers long enough not to occur by chance, as text and as written."""
    found = set()
    for path in paths:
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["PatientName", "PatientID"])
        values = [str(dataset.get(keyword, "")) for keyword in ("PatientName", "PatientID")]
        found |= {part for value in values for part in (value, *re.split(r"[\^= ]", value)) if len(part) > SHORT}
    return found
