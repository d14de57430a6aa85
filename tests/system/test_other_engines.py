"""Engines of other kinds through the whole line: several series at once, projection images; heat maps on request."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.conformance.judges import judge
from tests.node_process import Node, Target, dcmsend, node
from tests.pacs_servers import storescp, wait_until
from tests.returned_results import Returned, accept, read_all, returned, words
from tests.synthetic_mr import write_mr_pair
from tests.synthetic_projection import write_projection

SLOW = pytest.mark.slow
FOLDER = Path(__file__).parent.parent
ALL_KINDS = 'kinds = ["SEG", "SR", "SC", "PM"]'
NO_STACK = "no source slice in the evidence"
"""The judges look for a stack of slices under every report; projection images have none."""
ENGINES = f"""
[[engine]]
name = "two-series"
module = {json.dumps(str(FOLDER / "companion_engine.py"))}

[[engine]]
name = "bright-spot"
module = {json.dumps(str(FOLDER / "projection_engine.py"))}

[[rule]]
engine = "two-series"
when = {{ attribute = "SeriesDescription", matches = "FLAIR" }}
roles.t1c = [{{ modality = "MR" }}, {{ attribute = "SeriesDescription", matches = "T1" }}]

[[rule]]
engine = "bright-spot"
when = {{ modality = ["CR", "DX", "MG"] }}
"""


def _results(running: Node, held: Sequence[Dataset], study: str) -> Returned:
    """Of revised results the last."""
    found = returned(held, study)
    newest = tuple(sorted(found.reports, key=lambda report: int(report.InstanceNumber)))[-1:]
    assert newest, running.status()
    return Returned(found.segs, newest, found.others)


@pytest.mark.parametrize("judged", [False, pytest.param(True, marks=SLOW)])
def test_two_series_of_a_study_make_one_result_and_a_late_one_revises_it(tmp_path: Path, *, judged: bool) -> None:
    written = write_mr_pair(tmp_path / "source")
    study = str(read_all(written["flair"][:1])[0].StudyInstanceUID)
    with (
        storescp(tmp_path / "scp") as scp,
        node(tmp_path / "node", Target("scp", scp.ae_title, scp.port), engines=ENGINES) as up,
    ):
        assert dcmsend(up.port, written["flair"]).returncode == 0
        up.wait_settled(len(written["flair"]))
        alone = returned(read_all(scp.files()), study)
        assert "used as t1c" not in words(alone.report)
        assert dcmsend(up.port, written["t1c"]).returncode == 0
        wait_until(lambda: "20 instances for t1c" in up.command("why", study).stdout, "the late series has its role", 180)
        up.wait_settled(sum(map(len, written.values())))
        told = up.command("why", study).stdout
        both = returned(read_all(scp.files()), study)
    assert [int(r.InstanceNumber) for r in sorted(both.reports, key=lambda r: int(r.InstanceNumber))] == [1, 2]
    report = max(both.reports, key=lambda r: int(r.InstanceNumber))
    seg = next(s for s in both.segs if int(s.InstanceNumber) == 2)
    assert "Series 2 was used as t1c." in words(report)
    assert [s.SegmentLabel for s in seg.SegmentSequence] == ["Bright", "Bright in both"]
    assert "20 instances for t1c" in told
    if judged:
        shutil.rmtree(tmp_path / "source" / "ct")
        accept(tmp_path / "source", Returned((seg,), (report,)), tmp_path / "results")


@pytest.mark.parametrize(
    ("modality", "judged"), [("DX", False), *(pytest.param(m, True, marks=SLOW) for m in ("CR", "DX", "MG"))]
)
def test_projection_images_come_back_with_a_report_and_pictures(modality: str, tmp_path: Path, *, judged: bool) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write_projection(source / "1.dcm", modality=modality, PhotometricInterpretation="MONOCHROME1")
    write_projection(source / "2.dcm", modality=modality, number=2, spot=False)
    paths = sorted(source.iterdir())
    study = str(read_all(paths)[0].StudyInstanceUID)
    with (
        storescp(tmp_path / "scp") as scp,
        node(tmp_path / "node", Target("scp", scp.ae_title, scp.port, ALL_KINDS), engines=ENGINES) as up,
    ):
        assert dcmsend(up.port, paths).returncode == 0
        up.wait_settled(len(paths))
        results = _results(up, read_all(scp.files()), study)
    assert not results.segs
    assert len(results.others) == 3
    assert {"present", "absent"} <= set(words(results.report).splitlines())
    if not judged:
        return
    verdict = judge(source, results.write(tmp_path / "results"))
    assert [line for line in verdict.failures if NO_STACK not in line] == [], verdict.text
