import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from training.errors import LabelError
from training.readers.nifti import read_nifti_folder
from training.readers.nnunet import read_nnunet_folder

SHAPE = (5, 6, 7)


def _write(path: Path, values: np.ndarray, spacing: tuple[float, ...] = (0.5, 0.7, 2.0), turned: bool = False) -> None:
    """Spacing and origin as SimpleITK has them: x, y, z."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image: Any = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin((-10.0, 20.0, 30.0))
    if turned:
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))


def _image() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def _labels() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 2:4, 3:5], labels[4, 5, 6] = 1, 2
    return labels


@pytest.mark.parametrize("turned", [False, True])
def test_a_pair_keeps_its_voxels_and_their_places(tmp_path: Path, turned: bool) -> None:
    _write(tmp_path / "images" / "one.nii.gz", _image(), turned=turned)
    _write(tmp_path / "labels" / "one.nii.gz", _labels(), turned=turned)
    (case,) = read_nifti_folder(tmp_path, "CT", ("background", "liver", "tumour"))
    assert (case.name, case.structures) == ("case-1", ("background", "liver", "tumour"))
    assert np.array_equal(case.image, _image())
    assert np.array_equal(case.labels, _labels())
    assert np.allclose(case.spacing_mm, (2.0, 0.7, 0.5))
    sign = -1 if turned else 1
    corner = case.affine @ (4, 5, 6, 1)
    assert np.allclose(corner[:3], (-10 + sign * 6 * 0.5, 20 + sign * 5 * 0.7, 30 + 4 * 2.0), atol=1e-3)
    assert np.allclose(case.volume().spacing_mm, (2.0, 0.7, 0.5))


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "images" / "one.nii.gz", _image())
    with pytest.raises(LabelError, match=r"no labels for one.nii.gz"):
        list(read_nifti_folder(tmp_path, "CT"))
    _write(tmp_path / "labels" / "one.nii.gz", _labels(), spacing=(0.5, 0.7, 2.2))
    with pytest.raises(LabelError, match="another grid"):
        list(read_nifti_folder(tmp_path, "CT"))
    _write(tmp_path / "labels" / "one.nii.gz", _labels() * np.float32(0.5))
    with pytest.raises(LabelError, match="no labels: whole numbers"):
        list(read_nifti_folder(tmp_path, "CT"))
    (tmp_path / "labels" / "one.nii.gz").write_bytes(b"no image")
    with pytest.raises(LabelError, match="cannot be read"):
        list(read_nifti_folder(tmp_path, "CT"))
    with pytest.raises(LabelError, match="holds no file"):
        list(read_nifti_folder(tmp_path / "labels", "CT"))


def _nnunet(folder: Path, described: dict[str, Any], channels: int = 1) -> None:
    for channel in range(channels):
        _write(folder / "imagesTr" / f"case_{channel:04d}.nii.gz", _image() + channel)
    _write(folder / "labelsTr" / "case.nii.gz", _labels())
    (folder / "dataset.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("described", "modality"),
    [
        ({"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "tumour": 2}, "file_ending": ".nii.gz"}, "CT"),
        ({"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "liver", "2": "tumour"}}, "MR"),
    ],
)
def test_both_versions_of_nnunet_folders_are_read(tmp_path: Path, described: dict[str, Any], modality: str) -> None:
    _nnunet(tmp_path, described)
    (case,) = read_nnunet_folder(tmp_path)
    assert (case.name, case.modality, case.structures) == ("case-1", modality, ("background", "liver", "tumour"))
    assert np.array_equal(case.image, _image())
    assert np.array_equal(case.labels, _labels())


def test_channels_of_nnunet_stand_in_front(tmp_path: Path) -> None:
    described = {"channel_names": {"0": "FLAIR", "1": "T1c"}, "labels": {"background": 0, "a": 1, "b": 2}}
    _nnunet(tmp_path, described, channels=2)
    (case,) = read_nnunet_folder(tmp_path)
    assert case.image.shape == (2, *SHAPE)
    assert np.array_equal(case.image[1], _image() + 1)
    (tmp_path / "imagesTr" / "case_0001.nii.gz").unlink()
    with pytest.raises(LabelError, match=r"lacks case_0001.nii.gz"):
        list(read_nnunet_folder(tmp_path))


def test_a_folder_that_is_none_of_nnunet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"dataset.json is missing"):
        list(read_nnunet_folder(tmp_path))
    _nnunet(tmp_path, {"channel_names": {"0": "CT"}, "labels": {"background": 0, "whole": [1, 2]}})
    with pytest.raises(LabelError, match="regions"):
        list(read_nnunet_folder(tmp_path))
    _nnunet(tmp_path, {"channel_names": {"0": "CT"}, "labels": {"background": 0, "only": 1}})
    with pytest.raises(LabelError, match="label 2 has no name"):
        list(read_nnunet_folder(tmp_path))
