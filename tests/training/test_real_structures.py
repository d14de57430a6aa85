"""What the structures of somebody's data are to a network: nothing becomes background without being told to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from training.errors import LabelError
from training.readers.labelled_case import LabelledCase
from training.real_cases import TOLD, RealForm, real_cases, with_labels
from training.recipes import brain_tumor
from training.run import Run

FORM = RealForm(("background", "liver", "lesion"), (3.0, 3.0, 3.0), "CT", -1000.0, {"tumour": 2})


def _case(*structures: str, labels: int | None = None) -> LabelledCase:
    """A voxel of each structure, or of the first `labels` of them."""
    count = len(structures) + 1 if labels is None else labels
    values = np.arange(count, dtype=np.uint8).reshape(1, 1, count)
    return LabelledCase("case-1", "p", values.astype(np.int16), values, np.eye(4), "CT", ("background", *structures))


def _read(case: LabelledCase, form: RealForm = FORM, told: dict[str, str] | None = None) -> list[int]:
    return with_labels(case, form, told).labels.ravel().tolist()


def test_a_structure_that_nothing_tells_of_is_refused_by_name() -> None:
    with pytest.raises(
        LabelError, match=r"structures hepatic cyst, spleen, and the network learns liver, lesion: say .* structures.csv"
    ):
        _read(_case("liver", "hepatic cyst", "spleen"))


def test_what_was_told_is_followed_and_the_rest_may_be_background() -> None:
    case = _case("liver", "hepatic cyst", "spleen", "aorta")
    assert _read(case, told={"Hepatic_Cyst": "lesion", "*": "background"}) == [0, 1, 2, 0, 0]
    with pytest.raises(LabelError, match="structures aorta, and"):
        _read(case, told={"hepatic cyst": "lesion", "spleen": "background"})


def test_what_was_told_stands_above_what_a_recipe_knows() -> None:
    assert _read(_case("liver", "tumour")) == [0, 1, 2]
    assert _read(_case("liver", "tumour"), told={"tumour": "liver"}) == [0, 1, 1]


def test_a_label_that_the_network_does_not_have_is_refused() -> None:
    with pytest.raises(LabelError, match="no label kidney"):
        _read(_case("liver"), told={"liver": "kidney"})


def test_numbered_structures_are_the_structure() -> None:
    assert _read(_case("liver", "lesion 1", "Lesion-2")) == [0, 1, 2, 2]


def test_numbers_of_files_without_names_are_the_networks_own() -> None:
    assert _read(_case("label 1", "label 2")) == [0, 1, 2]
    with pytest.raises(LabelError, match="structures label 3"):
        _read(_case("label 1", "label 2", "label 3"))


def test_a_gap_in_the_numbers_that_no_voxel_has_is_no_structure() -> None:
    assert _read(_case("liver", "lesion", "label 3", labels=3)) == [0, 1, 2]


def test_brain_tumours_are_known_by_the_names_of_public_collections() -> None:
    case = _case("edema", "non-enhancing tumor", "enhancing tumour")
    assert _read(replace(case, modality="MR"), brain_tumor.REAL) == [0, 2, 2, 3]
    case = _case("Whole Tumor", "necrosis", "enhancing_tumor", "oedema", "tumor")
    assert _read(replace(case, modality="MR"), brain_tumor.REAL) == [0, 2, 2, 3, 2, 2]


def test_the_table_stands_beside_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for part in ("imagesTr", "labelsTr"):
        (data / part).mkdir(parents=True)
    values = np.zeros((6, 6, 6), np.uint8)
    values[:3], values[3:] = 1, 2
    sitk.WriteImage(sitk.GetImageFromArray(values), str(data / "labelsTr" / "a.nii.gz"))
    sitk.WriteImage(sitk.GetImageFromArray(values.astype(np.int16)), str(data / "imagesTr" / "a_0000.nii.gz"))
    names = '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2}}'
    (data / "dataset.json").write_text(names)
    form = replace(FORM, spacing_mm=(1.0, 1.0, 1.0))
    with pytest.raises(LabelError, match="structures spleen"):
        real_cases(Run(tmp_path / "run", data), form)
    (data / TOLD).write_text("structure,label\nspleen,background\n")
    found = real_cases(Run(tmp_path / "run", data), form)
    assert found is not None
    _, labels = found.load(0)
    assert set(np.unique(labels)) == {0, 1}
