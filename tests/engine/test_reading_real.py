"""Real series and odd files; SimpleITK's series reader is the independent judge."""

import json
from pathlib import Path

import numpy as np
import SimpleITK

from engine.api import Refusal
from engine.reading import read_series
from engine.volume import Volume

CT, SCOUT, PET = "24875394858561", "96436870336581", "56317561081015"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".dcm")


def by_simpleitk(folder: Path) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image: SimpleITK.Image = reader.Execute()
    return image


def assert_agrees(volume: Volume, image: SimpleITK.Image, lowest: int, scale: float = 1.0) -> None:
    """The same point of the patient holds the same value; SimpleITK's index order is (column, row, slice)."""
    values = SimpleITK.GetArrayFromImage(image)
    place = volume.affine @ [0, 0, 0, 1]
    first = image.TransformPhysicalPointToContinuousIndex(place[:3].tolist())
    np.testing.assert_allclose(first[:2], [0, 0], atol=1e-3)
    if first[2] > 0.5:
        values = values[::-1]
    expected = np.where(values <= -2000, lowest, values)
    np.testing.assert_allclose(volume.voxels * scale, expected, atol=scale / 2 if scale != 1 else 0)
    far = np.array(volume.voxels.shape) - 1
    point = volume.affine @ [*far, 1]
    index = image.TransformPhysicalPointToContinuousIndex(point[:3].tolist())
    np.testing.assert_allclose(index[:2], [far[2], far[1]], atol=1e-2)
    np.testing.assert_allclose(index[2], 0 if first[2] > 0.5 else far[0], atol=1e-2)


def test_a_chest_ct_agrees_with_simpleitk(chest_ct: Path) -> None:
    volume = read_series(files(chest_ct))
    assert volume.remarks == ()
    assert volume.padded is None
    assert_agrees(volume, by_simpleitk(chest_ct), -1024)


def test_an_abdominal_ct_with_padding_agrees_with_simpleitk(abdomen_ct: Path) -> None:
    volume = read_series(files(abdomen_ct)[::-1])
    assert volume.padded is not None
    assert_agrees(volume, by_simpleitk(abdomen_ct), -1024)


def test_a_jpeg_ls_ct_agrees_with_simpleitk(whole_study: Path) -> None:
    assert_agrees(read_series(files(whole_study / CT)), by_simpleitk(whole_study / CT), -1024)


def test_a_jpeg_ls_mr_agrees_with_simpleitk(brain_mr: Path) -> None:
    volume = read_series(files(brain_mr))
    assert volume.modality == "MR"
    assert_agrees(volume, by_simpleitk(brain_mr), 0)


def test_a_pet_with_a_slope_for_each_slice_agrees_with_simpleitk(whole_study: Path) -> None:
    volume = read_series(files(whole_study / PET))
    assert volume.modality == "PT"
    assert_agrees(volume, by_simpleitk(whole_study / PET), 0, volume.value_scale)


def test_only_the_volumes_of_a_whole_study_are_read(whole_study: Path) -> None:
    read, refused = set(), {}
    for folder in filter(Path.is_dir, whole_study.iterdir()):
        try:
            read_series(files(folder))
            read.add(folder.name)
        except Refusal as refusal:
            refused[folder.name] = str(refusal)
    assert read == {CT, PET}
    assert "localizer" in refused[SCOUT]
    assert len(refused) == 5


def test_every_odd_file_is_read_or_refused(odd_files: Path) -> None:
    listed = json.loads((odd_files / "index.json").read_text(encoding="utf-8"))
    read = 0
    for entry in listed:
        try:
            volume = read_series([odd_files / entry["file"]])
        except Refusal as refusal:
            assert entry.get("patient_name") is None or str(entry["patient_name"]) not in str(refusal)  # noqa: PT017
        else:
            read += 1
            assert volume.voxels.dtype == np.int16
    assert read > 30


def test_one_slice_in_every_transfer_syntax_is_the_same(odd_files: Path) -> None:
    folder = odd_files / "transfer_syntaxes"
    plain = read_series([folder / "cornerstone3D__CTImage.dcm"])
    for path in sorted(folder.iterdir()):
        volume = read_series([path])
        lossy = any("with loss" in remark for remark in volume.remarks)
        difference = np.abs(volume.voxels.astype(int) - plain.voxels)
        assert np.quantile(difference, 0.99) <= (60 if lossy else 0), path.name


def test_enhanced_mr_agrees_with_simpleitk(odd_files: Path) -> None:
    for path in sorted((odd_files / "enhanced").iterdir()):
        volume = read_series([path])
        image = SimpleITK.ReadImage(str(path))
        values = SimpleITK.GetArrayFromImage(image)
        assert np.array_equal(volume.voxels, values) or np.array_equal(volume.voxels[::-1], values)
        assert len({reference.frame_number for reference in volume.slices}) == len(volume.slices)
