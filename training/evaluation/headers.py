"""What headers say for subgroup tables, by the case names that training/readers gives to DICOM series."""

from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from training.evaluation.cases import AGE_LIMITS_YEARS
from training.metrics.subgroups import band

_KEYWORDS = ["SeriesInstanceUID", "Modality", "Manufacturer", "ManufacturerModelName", "PatientSex", "PatientAge"]
_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
IMAGES = ("CT", "MR", "PT")


def header_attributes(path: Path) -> dict[str, dict[str, str]]:
    """Maker, scanner, sex and age group of each series below a folder; nothing where there is no DICOM."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else ():
        try:
            header = dcmread(file, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
        except InvalidDicomError:
            continue
        if header.get("Modality", "") in IMAGES:
            found.setdefault(f"series-{str(header.get('SeriesInstanceUID', ''))[-12:]}", _attributes(header))
    return found


def _attributes(header: Dataset) -> dict[str, str]:
    sex = str(header.get("PatientSex") or "")
    return {
        "maker": str(header.get("Manufacturer") or ""),
        "scanner": str(header.get("ManufacturerModelName") or ""),
        "sex": sex if sex in ("F", "M") else "",
        "age": band(_years(str(header.get("PatientAge") or "")), AGE_LIMITS_YEARS, "years"),
    }


def _years(text: str) -> float | None:
    """Source: PS3.5 table 6.2-1, AS: three digits and a unit."""
    digits, unit = text[:-1], text[-1:]
    return int(digits) * _YEARS[unit] if digits.isdecimal() and unit in _YEARS else None
