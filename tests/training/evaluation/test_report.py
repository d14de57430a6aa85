"""The report as a whole: what a reader and a program find in it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.training.evaluation import ball_engine
from tests.training.evaluation.ball_cases import SHAPE, balls, case, package
from training.evaluation.cases import LabelledVolume
from training.evaluation.document import Report, Section, Table, to_json
from training.evaluation.page import render
from training.evaluation.subject import Subject
from training.evaluation.volumes import evaluate_volumes
from training.evaluation.writing import HTML_FILE, JSON_FILE, write_report

MODULE = ball_engine.__name__


def _report(cases: list[LabelledVolume], champion: Subject | None = None, own: Path | None = None) -> Report:
    return evaluate_volumes(Subject("ball-finder", own, MODULE), champion, lambda: cases, ("Balls.",))


class _Page(HTMLParser):
    """What a browser would load, and which elements stay open."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.tables = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]
        self.tables += tag == "table"
        if tag not in {"img", "meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("report")
    write_report(
        _report([*balls(8), case(8, np.zeros(SHAPE, bool)), case(9, balls(1)[0].truth["ball"], modality="MR")]), folder
    )
    return folder


def test_the_page_needs_nothing_else(written: Path) -> None:
    page = _Page()
    page.feed((written / HTML_FILE).read_text())
    assert page.open == []
    assert page.links
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert page.tables >= 4


def test_every_figure_has_its_interval_and_number_of_cases(written: Path) -> None:
    figures = [figure for section in json.loads((written / JSON_FILE).read_text())["sections"] for figure in section["figures"]]
    dice = next(figure for figure in figures if figure["name"] == "Dice")
    assert (dice["of"], dice["cases"], dice["patients"]) == ("ball", 9, 9)
    assert dice["low"] < dice["estimate"] < dice["high"]
    assert dice["estimate"] == pytest.approx(8 / 9)  # the refused case counts as nothing found
    assert all({"cases", "patients", "low", "high"} <= figure.keys() for figure in figures)


def test_a_case_without_the_structure_has_figures_of_its_own(written: Path) -> None:
    figures = [figure for section in json.loads((written / JSON_FILE).read_text())["sections"] for figure in section["figures"]]
    absent = next(figure for figure in figures if figure["name"] == "found where there is none")
    assert (absent["estimate"], absent["cases"], absent["unit"]) == (0, 1, "ml")


def test_the_model_can_be_told_from_every_other(written: Path) -> None:
    page, metrics = (written / HTML_FILE).read_text(), json.loads((written / JSON_FILE).read_text())
    assert metrics["identity"]["SHA-256 of the weights"] == "0" * 64
    assert metrics["identity"]["version"] == "1.0.0"
    assert "0" * 64 in page
    assert "Balls." in page


def test_refusals_and_their_reasons_are_in_the_report(written: Path) -> None:
    metrics = json.loads((written / JSON_FILE).read_text())
    assert [entry["reason"] for entry in metrics["cases"] if entry["outcome"] == "refused"] == [
        "The ball finder needs CT; this series is MR."
    ]
    assert "1 refused" in " ".join(metrics["data"])


def test_subgroups_have_their_own_number_of_cases(written: Path) -> None:
    (table,) = [
        table
        for section in json.loads((written / JSON_FILE).read_text())["sections"]
        for table in section["tables"]
        if "subgroup" in table["title"]
    ]
    makers = {row[1]: row[3] for row in table["rows"] if row[0] == "maker"}
    assert makers == {"A": "5", "B": "4"}
    assert {row[1] for row in table["rows"] if row[0] == "size"} >= {"smallest third", "largest third"}


def test_detection_is_measured_where_lesions_are_known(written: Path) -> None:
    sections = {section["title"]: section for section in json.loads((written / JSON_FILE).read_text())["sections"]}
    figures = {figure["name"]: figure for figure in sections["Detection"]["figures"]}
    assert figures["sensitivity, all candidates"]["estimate"] == pytest.approx(8 / 9)
    assert figures["false positives per scan, all candidates"]["estimate"] == 0
    assert "9 in 10 scans" in figures["CPM"]["of"]


def test_the_same_cases_give_the_same_metrics(tmp_path: Path) -> None:
    def without_times(report: Report) -> str:
        return re.sub(r'"seconds": [\d.]+|"\d+\.\d"', "", json.dumps(to_json(report)))

    assert without_times(_report(balls(5))) == without_times(_report(balls(5)))


def test_markup_in_words_is_shown_and_not_obeyed() -> None:
    section = Section("A <b>", tables=(Table("", ("x",), (("<script>",),)),))
    page = render(Report("T&T", {"a": "<i>"}, ("<img src=x>",), (section,)))
    assert "<script>" not in page
    assert "<img src=x>" not in page
    assert "T&amp;T" in page


def test_a_worse_challenger_is_not_taken(tmp_path: Path) -> None:
    champion, challenger = package(tmp_path / "a", 0), package(tmp_path / "b", 1)
    report = _report(balls(10), Subject("ball-finder", champion, MODULE), challenger)
    assert report.verdict.startswith("Keep the champion")
    assert report.sections[0].title == "Champion against challenger"
    assert "balls 1.0.0" in report.sections[0].text[0]


def test_a_better_challenger_replaces_the_champion(tmp_path: Path) -> None:
    champion, challenger = package(tmp_path / "a", 1), package(tmp_path / "b", 0)
    report = _report(balls(10), Subject("ball-finder", champion, MODULE), challenger)
    assert report.verdict.startswith("Replace the champion")


def test_few_cases_decide_nothing(tmp_path: Path) -> None:
    champion, challenger = package(tmp_path / "a", 1), package(tmp_path / "b", 0)
    report = _report(balls(3), Subject("ball-finder", champion, MODULE), challenger)
    assert report.verdict.startswith("Undecided")


@pytest.mark.parametrize("change", [lambda c: replace(c, attributes={}), lambda c: replace(c, lesions={})])
def test_what_a_case_does_not_know_is_left_out(change: Callable[[LabelledVolume], LabelledVolume]) -> None:
    assert _report([change(one) for one in balls(2)]).sections[0].figures
