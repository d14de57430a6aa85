"""docs/conformance.md says what the code does."""

import pytest

from dicom_node.cli.commands.inspection import FORMS
from dicom_node.deliver.courier import _RESULT_CLASSES
from dicom_node.receive.statuses import Status
from dicom_node.receive.web.refusals import FailureReason
from tests.conformance_tables import ASKED, DOCUMENT, MARKED, TABLES, WEB_FAILURES, with_tables

STATEMENT = DOCUMENT.read_text(encoding="utf-8")


def test_every_table_is_as_the_code_says() -> None:
    assert with_tables(STATEMENT) == STATEMENT, "run: python -m tests.conformance_tables"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_stands_in_the_statement_once(name: str) -> None:
    assert [found["name"] for found in MARKED.finditer(STATEMENT)].count(name) == 1


def test_a_difference_would_be_found() -> None:
    altered = STATEMENT.replace("A700H", "A701H")
    assert altered != STATEMENT
    assert with_tables(altered) == with_tables(STATEMENT)
    assert with_tables(altered) != altered


def test_every_status_that_is_returned_has_its_words() -> None:
    assert set(ASKED) == set(Status)
    assert set(WEB_FAILURES) == set(FailureReason)


def test_what_check_asks_about_is_what_is_sent() -> None:
    assert {uid for classes in FORMS.values() for uid in classes} == set(_RESULT_CLASSES)
