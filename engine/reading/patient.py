"""Age and sex of the patient, for risk models; nothing that names anybody.

Source: DICOM PS3.3 C.7.1.1 (Patient), C.7.2.2 (Patient Study); PS3.5 section 6.2 (AS, DA).
"""

from datetime import date

from pydicom.dataset import Dataset

from engine.reading.elements import text
from engine.volume import PatientFacts

KEYWORDS = ("PatientAge", "PatientSex", "PatientBirthDate", "StudyDate")
_UNITS_IN_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
OLDEST_YEARS = 120.0
"""Older than this is a fault of the header."""


def patient_of(dataset: Dataset) -> PatientFacts:
    """Age at the study (Patient's Age, else from the dates) and sex; what is absent or impossible is left open."""
    age = _stated_age(text(dataset, "PatientAge"))
    if age is None:
        age = _years_between(text(dataset, "PatientBirthDate"), text(dataset, "StudyDate"))
    sex = text(dataset, "PatientSex")
    return PatientFacts(
        age_years=age if age is not None and 0 <= age <= OLDEST_YEARS else None, sex=sex if sex in ("F", "M") else ""
    )


def _stated_age(age: str) -> float | None:
    number, unit = age[:-1], age[-1:].upper()
    return int(number) * _UNITS_IN_YEARS[unit] if number.isascii() and number.isdigit() and unit in _UNITS_IN_YEARS else None


def _years_between(birth: str, study: str) -> float | None:
    try:
        return (_date(study) - _date(birth)).days / 365.25
    except ValueError:
        return None


def _date(written: str) -> date:
    return date.fromisoformat(f"{written[:4]}-{written[4:6]}-{written[6:8]}")
