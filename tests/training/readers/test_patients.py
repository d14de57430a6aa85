"""Whose images files hold: patients.csv beside NIfTI and nnU-Net data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from training.errors import LabelError
from training.readers.any_folder import read_folder
from training.readers.patients import FILE
from training.splits import Fold, one_fold

VISITS = ("a_2019", "a_2024", "b_2020", "c_2020")


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image: Any = sitk.GetImageFromArray(np.ones((2, 3, 4), np.uint8))
    sitk.WriteImage(image, str(path))


@pytest.fixture(params=["nifti", "nnunet"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Four visits of three patients."""
    for name in VISITS:
        if request.param == "nifti":
            _write(tmp_path / "images" / f"{name}.nii.gz")
            _write(tmp_path / "labels" / f"{name}.nii.gz")
        else:
            _write(tmp_path / "imagesTr" / f"{name}_0000.nii.gz")
            _write(tmp_path / "labelsTr" / f"{name}.nii.gz")
            described = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "ball": 1}, "file_ending": ".nii.gz"}
            (tmp_path / "dataset.json").write_text(json.dumps(described))
    return tmp_path


def _patients(data: Path) -> list[str]:
    return [case.patient for case in read_folder(data, "CT")]


def test_without_a_table_each_file_is_a_patient_of_its_own(data: Path) -> None:
    assert len(set(_patients(data))) == 4


@pytest.mark.parametrize("ending", ["", ".nii.gz"])
def test_visits_of_a_patient_stay_together(data: Path, ending: str) -> None:
    lines = [f"{name}{ending},{name[0]},x" for name in VISITS]
    (data / FILE).write_text("\n".join(["file,patient,remark", *lines]), encoding="utf-8-sig")
    first, second, *others = _patients(data)
    assert first == second
    assert len({first, *others}) == 3
    assert first.startswith("patient-"), "a pseudonym"
    for number in (1, 2, 3):
        split = one_fold([first, second, *others], None, Fold(number, 3))
        assert (0 in split.train) == (1 in split.train)


def test_cases_are_named_by_their_place_and_not_by_their_files(data: Path) -> None:
    assert [case.name for case in read_folder(data, "CT")] == ["case-1", "case-2", "case-3", "case-4"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,patient\na_2019,a\n", "no line for 3 of 4 images, such as a_2024"),
        ("file;patient\na_2019;a\n", "line 2: write file,patient"),
        ("file,patient\na_2019,\n", "line 2: write file,patient"),
        ("file,patient\na_2019,a\na_2019,b\n", "line 3: another line has this file too"),
        ("file,patient\na_2019,a\na_2019.nii.gz,b\n", "names a file twice"),
    ],
)
def test_a_table_that_does_not_tell_everything_is_refused(data: Path, text: str, said: str) -> None:
    (data / FILE).write_text(text)
    with pytest.raises(LabelError, match=said):
        _patients(data)


def test_a_table_in_another_encoding_is_refused(data: Path) -> None:
    (data / FILE).write_bytes("file,patient\na_2019,M\xfcller\n".encode("latin-1"))
    with pytest.raises(LabelError, match="CSV in UTF-8"):
        _patients(data)
