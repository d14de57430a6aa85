"""What the documents point to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DEFINED = {
    name for path in ROOT.glob("tests/**/*.py") for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
}


def _id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=_id)
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_id)
def test_every_test_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"`(test_[a-z]\w+)`", document.read_text(encoding="utf-8")))
    assert named - DEFINED == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=_id)
def test_every_file_of_the_repository_that_is_named_exists(document: Path) -> None:
    named = re.findall(
        r"`((?:dicom_node|engine|training|tests|conf|docs|systemd)/[\w/.-]+)`", document.read_text(encoding="utf-8")
    )
    assert [path for path in named if not (ROOT / path).exists() and not (ROOT / "dicom_node" / path).exists()] == []


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    decisions = [path.name for path in ROOT.glob("docs/decisions/[0-9]*.md")]
    assert decisions
    assert [name for name in decisions if f"({name})" not in listed] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
