"""Age and sex from the header, whatever it holds."""

import pytest
from pydicom.dataset import Dataset

from engine.reading.elements import quiet
from engine.reading.patient import patient_of


def _header(**elements: str) -> Dataset:
    dataset = Dataset()
    with quiet():
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(("age", "years"), [("062Y", 62), ("018M", 1.5), ("010D", 10 / 365.25), ("", None), ("old", None)])
def test_a_stated_age_is_taken_in_its_unit(age: str, years: float | None) -> None:
    assert patient_of(_header(PatientAge=age)).age_years == pytest.approx(years)


def test_without_a_stated_age_the_dates_tell_it() -> None:
    assert patient_of(_header(PatientBirthDate="19600101", StudyDate="20200101")).age_years == pytest.approx(60, abs=0.01)


@pytest.mark.parametrize("birth", ["", "1960", "18000101", "20300101"])
def test_an_impossible_or_missing_birth_date_leaves_the_age_open(birth: str) -> None:
    assert patient_of(_header(PatientBirthDate=birth, StudyDate="20200101")).age_years is None


@pytest.mark.parametrize(("sex", "kept"), [("F", "F"), ("M", "M"), ("O", ""), ("", "")])
def test_only_the_sexes_that_models_know_are_kept(sex: str, kept: str) -> None:
    assert patient_of(_header(PatientSex=sex)).sex == kept
