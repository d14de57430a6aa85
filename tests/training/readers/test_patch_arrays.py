from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.real_data import RealData
from training.errors import LabelError
from training.readers.patch_arrays import read_patch_arrays, read_png_stacks

SPACING_MM = (1.0, 1.0, 1.0)


def _arrays() -> dict[str, np.ndarray]:
    volume = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    mask = np.zeros(volume.shape, bool)
    mask[:, 1, 1:3, 2:4] = True
    return {"volume": volume, "mask": mask, "names": np.array(["7_nod1", "7_nod2"]), "malignancy": np.array([5, 2])}


@pytest.mark.parametrize("packed", [False, True])
def test_patches_come_with_mask_ratings_and_patient(tmp_path: Path, packed: bool) -> None:
    arrays = _arrays()
    stored = {**arrays, "mask_packed": np.packbits(arrays["mask"], axis=-1)} if packed else arrays
    if packed:
        del stored["mask"]
    np.savez(tmp_path / "patches.npz", **stored)  # type: ignore[arg-type]
    first, second = read_patch_arrays(tmp_path / "patches.npz", (2.0, 1.0, 0.5))
    assert (first.name, first.lesions[0].ratings) == ("patch-1", {"malignancy": 5.0})
    assert second.lesions[0].ratings == {"malignancy": 2.0}
    assert first.patient == second.patient
    assert np.array_equal(second.image, arrays["volume"][1])
    assert np.array_equal(first.labels.astype(bool), arrays["mask"][0])
    assert first.spacing_mm == (2.0, 1.0, 0.5)


def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "patches.npz"
    for change, said in (
        ({"volume": np.zeros(3)}, "no array volume"),
        ({"mask": np.zeros((2, 3, 4, 4))}, "the masks have shape"),
        ({"malignancy": np.array([1])}, "malignancy has 1 entries for 2"),
    ):
        np.savez(path, **{**_arrays(), **change})  # type: ignore[arg-type]
        with pytest.raises(LabelError, match=said):
            list(read_patch_arrays(path, SPACING_MM))


def test_stacks_of_pictures_have_the_class_of_their_folder(tmp_path: Path) -> None:
    for kind, patient, level in (("benign", "a", 10), ("malignant", "b", 200)):
        for number in (10, 2, 1):
            stack = tmp_path / kind / patient / "nodule 1"
            stack.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((6, 7), level + number, np.uint8)).save(stack / f"{number}.png")
    benign, malignant = read_png_stacks(tmp_path, SPACING_MM)
    assert benign.image[:, 0, 0].tolist() == [11, 12, 20], "slices by number, not by letter"
    assert (benign.lesions[0].name, benign.lesions[0].ratings) == ("benign", {"class": 0.0})
    assert malignant.lesions[0].ratings == {"class": 1.0}
    assert benign.patient != malignant.patient
    assert [benign.name, malignant.name] == ["patch-1", "patch-2"], "no part of a patient's folder"
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "benign" / "a" / "nodule 1" / "3.png")
    with pytest.raises(LabelError, match="different size"):
        list(read_png_stacks(tmp_path, SPACING_MM))
    with pytest.raises(LabelError, match="no folders CLASS/NAME"):
        list(read_png_stacks(tmp_path / "none", SPACING_MM))


def test_the_labelled_nodules_are_read(real_data: RealData) -> None:
    path = real_data.source / "nodules_labelled_100.npz"
    if not path.is_file():
        pytest.skip("the labelled nodules are not here")
    cases = list(read_patch_arrays(path, SPACING_MM))
    assert len(cases) == 100
    assert all(case.labels.any() and case.image.shape == (51, 51, 51) for case in cases)
    assert {name for case in cases for name in case.lesions[0].ratings} >= {"malignancy", "texture", "spiculation"}
    inside = np.mean([case.image[case.labels > 0].mean() for case in cases])
    outside = np.mean([case.image[case.labels == 0].mean() for case in cases])
    assert inside > outside
