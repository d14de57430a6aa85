"""However the slices lie, the lungs come back where they are; what is incomplete or cannot be analysed says so."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicom_node.ledger import Why
from dicom_node.lifecycle import State
from dicom_node.model import Completeness
from tests.node_process import LUNGS, Node, Target, dcmsend, node
from tests.pacs_servers import storescp
from tests.returned_results import Returned, accept, dice, masks, read_all, returned, volumes_ml, words
from tests.synthetic_ct import SyntheticSeries, Variant, write_ct

SIZE = {"slices": 64, "rows": 128}
QUICK = ("tilted", "oblique")
MORE = ("axial", "descending", "feet_first", "irregular", "prone", "enhanced", "padded", "duplicates", "localizer_inside")
ODD = ("gap", "hole", "two slices", "one_slice", "without_frame_of_reference")
MINIMUM_DICE = 0.9
NO_SUCCESS = "No algorithms succeeded"  # the meaning of DCM 111245
EVERY_CT = """
[[engine]]
name = "lung-segmentation"

[[rule]]
engine = "lung-segmentation"
when = { modality = "CT" }
"""


@dataclass(frozen=True)
class Answered:
    """Series by kind, their results, and what the node tells of them."""

    series: dict[str, SyntheticSeries]
    results: dict[str, Returned]
    told: dict[str, Why]


@contextmanager
def _answered(directory: Path, kinds: Sequence[str], engines: str = LUNGS) -> Iterator[Answered]:
    """All kinds sent to one node, with the lungs' engine and its default rule unless told, that answers to DCMTK's storescp."""
    series = {kind: _write(directory / "source" / kind, kind) for kind in kinds}
    paths = [path for one in series.values() for path in one.directory.iterdir()]
    with storescp(directory / "scp") as scp, _node(directory, engines, Target("scp", scp.ae_title, scp.port)) as running:
        sent = dcmsend(running.port, paths)
        assert sent.returncode == 0, sent.stderr
        running.wait_settled(len(paths), 90.0 * len(kinds))
        held = read_all(scp.files())
        results = {kind: returned(held, one.study_instance_uid) for kind, one in series.items()}
        yield Answered(series, results, {kind: _why(running, one) for kind, one in series.items()})


def _node(directory: Path, engines: str, target: Target):
    return node(directory / "node", target, engines=engines)


def _write(directory: Path, kind: str) -> SyntheticSeries:
    variant = Variant() if kind == "two slices" else kind
    series = write_ct(directory, variant, salt=kind if kind == "two slices" else "", **SIZE)
    if kind == "two slices":
        for path in series.paths[2:]:
            path.unlink()
    return series


def _why(running: Node, series: SyntheticSeries) -> Why:
    with running.ledger() as ledger:
        (why,) = ledger.views.why(series.study_instance_uid)
    return why


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    with _answered(tmp_path_factory.mktemp("quick"), QUICK) as answered:
        yield answered


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    with _answered(tmp_path_factory.mktemp("odd"), ODD, EVERY_CT) as answered:
        yield answered


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    with _answered(tmp_path_factory.mktemp("more"), MORE) as answered:
        yield answered


def _lungs_are_where_they_are(answered: Answered, kind: str) -> None:
    series = answered.series[kind]
    found = masks(answered.results[kind].seg, series)
    sides = {"Left lung": series.left_lung, "Right lung": series.right_lung}
    shares = {label: round(dice(found[label], truth), 3) for label, truth in sides.items()}
    assert min(shares.values()) >= MINIMUM_DICE, shares


@pytest.mark.parametrize("kind", QUICK)
def test_lungs_are_where_they_are(quick: Answered, kind: str) -> None:
    _lungs_are_where_they_are(quick, kind)


@pytest.mark.judges
@pytest.mark.parametrize("kind", ["tilted", pytest.param("oblique", marks=pytest.mark.slow)])
def test_the_judges_accept_what_came_back(quick: Answered, kind: str, tmp_path: Path) -> None:
    accept(quick.series[kind].directory, quick.results[kind], tmp_path)


def test_a_series_with_a_slice_missing_is_run_and_its_result_says_so(odd: Answered) -> None:
    assert "incomplete: 1 slice missing" in words(odd.results["gap"].report)
    _lungs_are_where_they_are(odd, "gap")
    (series,) = odd.told["gap"].series
    assert series.assessment is not None
    assert series.assessment.completeness is Completeness.INCOMPLETE


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("hole", "6 slices missing"),
        ("two slices", "Only 2 slices; lung segmentation needs at least 10."),
        ("one_slice", "Only 1 slice; lung segmentation needs at least 10."),
    ],
)
def test_what_cannot_be_analysed_gives_a_report_that_says_why(odd: Answered, kind: str, reason: str) -> None:
    results = odd.results[kind]
    assert results.segs == ()
    assert reason in words(results.report)
    assert NO_SUCCESS in words(results.report)
    ((job,),) = (series.jobs for series in odd.told[kind].series)
    assert job.job.state is State.DONE
    assert job.summary.startswith("not analysed: ")


def test_without_a_frame_of_reference_the_report_measures_and_says_why_there_is_no_segmentation(odd: Answered) -> None:
    results = odd.results["without_frame_of_reference"]
    assert results.segs == ()
    assert "No segmentation object: the source has no frame of reference." in words(results.report)
    assert all(volume > 1500 for volume in volumes_ml(results.report))


@pytest.mark.slow
@pytest.mark.judges
@pytest.mark.parametrize("kind", ODD)
def test_the_judges_accept_what_is_incomplete_or_not_analysed(odd: Answered, kind: str, tmp_path: Path) -> None:
    accept(odd.series[kind].directory, odd.results[kind], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MORE)
def test_lungs_are_where_they_are_in_more_geometries(more: Answered, kind: str) -> None:
    _lungs_are_where_they_are(more, kind)


@pytest.mark.slow
@pytest.mark.judges
@pytest.mark.parametrize("kind", MORE)
def test_the_judges_accept_more_geometries(more: Answered, kind: str, tmp_path: Path) -> None:
    accept(more.series[kind].directory, more.results[kind], tmp_path)
