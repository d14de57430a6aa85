"""DICOM series to a Volume: synthetic series with known truth."""

import copy
import functools
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pydicom.uid as uids
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from engine.api import Refusal
from engine.reading import planes_of, read_series, read_volume
from engine.volume import Volume
from tests.synthetic_ct import PADDING_HU, VARIANTS, SyntheticSeries, write_ct

REFUSED = {"hole": "6 slices missing", "two_phases": "phases, echoes"}
REMARKED = {
    "irregular": "Unevenly spaced slices: 2.00 to 4.00 mm apart.",
    "tilted": "Gantry tilt: the slices are sheared by 15.0 degrees.",
    "gap": "1 slice missing: 8.0 mm without a slice after",
    "duplicates": "2 images at the position of another one",
    "localizer_inside": "1 image of the series left out (localizer).",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SyntheticSeries]:
    root = tmp_path_factory.mktemp("series")
    return functools.cache(lambda variant: write_ct(root / variant, variant, slices=24, rows=64, step_mm=4.0))


@pytest.fixture(scope="module")
def axial(written: Callable[[str], SyntheticSeries]) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in written("axial").paths]


def same(one: Volume, other: Volume) -> bool:
    return (
        np.array_equal(one.voxels, other.voxels)
        and np.array_equal(one.positions_mm, other.positions_mm)
        and np.array_equal(one.affine, other.affine)
        and (one.slices, one.remarks, one.value_scale) == (other.slices, other.remarks, other.value_scale)
    )


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - set(REFUSED)))
def test_every_variant_is_read_as_it_was_written(variant: str, written: Callable[[str], SyntheticSeries]) -> None:
    truth = written(variant)
    volume = read_series(truth.paths)
    np.testing.assert_array_equal(volume.voxels, np.where(truth.voxels == PADDING_HU, -1024, truth.voxels))
    np.testing.assert_allclose(volume.positions_mm, truth.positions_mm, atol=2e-6)
    np.testing.assert_allclose(volume.row_direction, truth.row_direction, atol=1e-8)
    np.testing.assert_allclose(volume.column_direction, truth.column_direction, atol=1e-8)
    assert [reference.sop_instance_uid for reference in volume.slices] == list(truth.sop_instance_uids)
    assert REMARKED.get(variant, "") in " ".join(volume.remarks)
    assert bool(volume.remarks) == (variant in REMARKED)
    assert volume.modality == "CT"


@pytest.mark.parametrize("variant", sorted(REFUSED))
def test_what_is_no_single_stack_is_refused(variant: str, written: Callable[[str], SyntheticSeries]) -> None:
    with pytest.raises(Refusal, match=REFUSED[variant]):
        read_series(written(variant).paths)


def test_padding_is_marked_and_becomes_air(written: Callable[[str], SyntheticSeries]) -> None:
    truth = written("padded")
    volume = read_series(truth.paths)
    assert volume.padded is not None
    np.testing.assert_array_equal(volume.padded, truth.voxels == PADDING_HU)
    assert volume.voxels.min() >= -1024


def test_frames_of_a_multi_frame_are_referred_to_by_number(written: Callable[[str], SyntheticSeries]) -> None:
    volume = read_series(written("enhanced").paths)
    assert [reference.frame_number for reference in volume.slices] == list(range(1, 25))


def test_files_and_datasets_give_the_same_volume(written: Callable[[str], SyntheticSeries], axial: list[Dataset]) -> None:
    assert same(read_volume(axial), read_series(written("axial").paths))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(24)))
def test_the_order_of_the_input_has_no_influence(order: list[int], axial: list[Dataset]) -> None:
    assert same(read_volume([axial[index] for index in order]), read_volume(axial))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_instance_numbers_have_no_influence(seed: int, axial: list[Dataset]) -> None:
    renumbered = copy.deepcopy(axial)
    for dataset, number in zip(renumbered, np.random.default_rng(seed).permutation(24), strict=True):
        dataset.InstanceNumber = int(number)
    assert same(read_volume(renumbered), read_volume(axial))


def test_a_copy_turned_over_gives_the_same_voxels_in_the_patient(axial: list[Dataset]) -> None:
    turned = copy.deepcopy(axial)
    for dataset in turned:
        pixels = dataset.pixel_array[:, ::-1]
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x + 63 * float(dataset.PixelSpacing[1]), y, z]
        dataset.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
        dataset.PixelData = pixels.tobytes()
    plain, mirrored = read_volume(axial), read_volume(turned)
    np.testing.assert_array_equal(mirrored.voxels[::-1, :, ::-1], plain.voxels)
    corner = mirrored.affine @ [23, 0, 63, 1]
    np.testing.assert_allclose(corner, plain.affine @ [0, 0, 0, 1], atol=1e-5)


def test_the_same_instance_given_twice_is_read_once(axial: list[Dataset]) -> None:
    assert same(read_volume([*axial, *axial]), read_volume(axial))


def change(datasets: list[Dataset], **values: object) -> list[Dataset]:
    changed = copy.deepcopy(datasets)
    for dataset in changed:
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
    return changed


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"SOPClassUID": uids.SecondaryCaptureImageStorage}, "Secondary Capture"),
        ({"SOPClassUID": None}, "unknown kind of object"),
        ({"SOPInstanceUID": None}, "no SOP Instance UID"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"ImagePositionPatient": None}, "Position .* is missing"),
        ({"PixelSpacing": None}, "Pixel Spacing is missing"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "Orientation .* unreadable"),
        ({"Rows": 65535, "Columns": 65535}, "claims 65535 rows"),
        ({"Rows": 8000, "Columns": 8000}, "truncated"),
        ({"NumberOfFrames": 1000000}, "several frames"),
        ({"BitsAllocated": 12}, "Bits Allocated 12"),
        ({"BitsStored": 12}, "High Bit"),
        ({"RescaleIntercept": None}, "CT numbers of the image are unknown"),
        ({"RescaleType": "MGML"}, "Hounsfield"),
        ({"RescaleSlope": 0}, "impossible number"),
        ({"PixelData": None}, "truncated"),
        ({"PixelData": b"\0" * 100}, "truncated"),
    ],
)
def test_what_cannot_be_analysed_is_refused_in_words(values: dict[str, object], reason: str, axial: list[Dataset]) -> None:
    with pytest.raises(Refusal, match=reason) as refused:
        read_volume(change(axial, **values))
    assert "PID0001" not in str(refused.value)
    assert "Test" not in str(refused.value)


def test_nothing_is_refused() -> None:
    with pytest.raises(Refusal, match="no images"):
        read_volume([])


def test_a_captured_screen_among_the_slices_is_left_out(axial: list[Dataset]) -> None:
    capture = change(axial[:1], SOPClassUID=uids.SecondaryCaptureImageStorage, SOPInstanceUID="1.2.3")
    volume = read_volume([*axial, *capture])
    assert len(volume.slices) == 24
    assert "1 of 25 instances left out" in volume.remarks[0]


def test_one_damaged_slice_refuses_the_series(axial: list[Dataset]) -> None:
    with pytest.raises(Refusal, match="truncated"):
        read_volume([*change(axial[:1], PixelData=b"\0" * 100), *axial[1:]])


def test_a_legacy_converted_multi_frame_gives_the_same_voxels(axial: list[Dataset]) -> None:
    converted = LegacyConvertedEnhancedCTImage(
        [axial[index] for index in np.random.default_rng(2).permutation(24)],
        series_instance_uid="1.2.3",
        series_number=1,
        sop_instance_uid="1.2.3.4",
        instance_number=1,
    )
    plain, volume = read_volume(axial), read_volume([converted])
    np.testing.assert_array_equal(volume.voxels, plain.voxels)
    np.testing.assert_array_equal(volume.affine, plain.affine)
    assert {reference.sop_instance_uid for reference in volume.slices} == {"1.2.3.4"}


def test_two_images_under_one_uid_are_refused(axial: list[Dataset]) -> None:
    with pytest.raises(Refusal, match="same SOP Instance UID"):
        read_volume([*axial, *change(axial[:1], ImagePositionPatient=[0, 0, 900])])


def test_a_truncated_file_is_refused(written: Callable[[str], SyntheticSeries], tmp_path: Path) -> None:
    whole = written("axial").paths[0].read_bytes()
    short = tmp_path / "short.dcm"
    for length in range(0, len(whole), 97):
        short.write_bytes(whole[:length])
        with pytest.raises(Refusal):
            read_series([short])


@pytest.mark.parametrize("variant", ["jpeg_ls", "jpeg_2000", "jpeg_lossless", "rle", "deflated", "enhanced_rle"])
def test_damaged_compressed_files_are_read_or_refused(
    variant: str, written: Callable[[str], SyntheticSeries], tmp_path: Path
) -> None:
    whole = written(variant).paths[0].read_bytes()
    noise = np.random.default_rng(5)
    damaged = tmp_path / "damaged.dcm"
    for _ in range(25):
        content = np.frombuffer(whole, np.uint8).copy()
        places = noise.integers(400, len(whole), 6)
        content[places] = noise.integers(0, 256, 6)
        damaged.write_bytes(content[: noise.integers(len(whole) // 2, len(whole) + 1)].tobytes())
        try:
            volume = read_series([damaged])
        except Refusal:
            continue
        assert volume.voxels.shape[1:] == (64, 64)


@pytest.mark.parametrize("keyword", ["SharedFunctionalGroupsSequence", "RequestAttributesSequence"])
def test_deep_nesting_is_refused_or_skipped(keyword: str, tmp_path: Path, axial: list[Dataset]) -> None:
    tag = pydicom.tag.Tag(keyword)
    start = struct.pack("<2H", tag.group, tag.element) + b"SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    path = tmp_path / "nested.dcm"
    header = copy.deepcopy(axial[0])
    pixels = header.PixelData
    del header.PixelData
    header.save_as(path, enforce_file_format=True)
    element = struct.pack("<2H", 0x7FE0, 0x0010) + b"OW\0\0" + struct.pack("<I", len(pixels)) + pixels
    path.write_bytes(path.read_bytes() + start * 30_000 + end * 30_000 + element)
    with pytest.raises(Refusal, match="nested too deeply"):
        read_series([path])


def test_a_codestream_larger_than_its_header_says_is_refused(written: Callable[[str], SyntheticSeries]) -> None:
    dataset = pydicom.dcmread(written("jpeg_2000").paths[0])
    size = dataset.PixelData.index(b"\xff\x4f\xff\x51") + 8
    dataset.PixelData = dataset.PixelData[:size] + struct.pack(">2I", 65535, 65535) + dataset.PixelData[size + 8 :]
    with pytest.raises(Refusal, match="another matrix"):
        read_volume([dataset])


def test_a_missing_file_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_series([tmp_path / "gone.dcm"])


def test_declared_padding_that_names_tissue_is_not_followed(axial: list[Dataset]) -> None:
    volume = read_volume(change(axial, PixelPaddingValue=40))
    assert volume.padded is None
    assert volume.remarks == ("Pixel Padding Value names a value of tissue; it was not followed.",)


def test_undeclared_padding_is_air(axial: list[Dataset]) -> None:
    padded = copy.deepcopy(axial)
    for dataset in padded:
        pixels = dataset.pixel_array.copy()
        pixels[:5] = -3024
        dataset.PixelData = pixels.tobytes()
    volume = read_volume(padded)
    assert volume.padded is not None
    assert volume.padded[:, :5].all()
    assert not volume.padded[:, 5:].any()
    assert (volume.voxels[:, :5] == -1024).all()


def test_slope_and_intercept_of_each_slice_are_applied(axial: list[Dataset]) -> None:
    plain = read_volume(axial)
    rescaled = copy.deepcopy(axial)
    for dataset in rescaled[::2]:
        dataset.RescaleSlope, dataset.RescaleIntercept = "0.5", "-100"
        dataset.PixelData = ((dataset.pixel_array.astype(int) + 100) * 2).astype("<i2").tobytes()
    assert np.array_equal(read_volume(rescaled).voxels, plain.voxels)


@pytest.mark.parametrize("signed", [True, False])
def test_twelve_bits_in_sixteen_are_read_with_their_sign(signed: bool, axial: list[Dataset]) -> None:
    narrow = change(axial, BitsStored=12, HighBit=11, PixelRepresentation=int(signed), RescaleIntercept=0 if signed else -1024)
    expected = []
    for dataset in narrow:
        values = np.frombuffer(dataset.PixelData, "<i2").clip(-1024, 2047)
        expected.append(values.reshape(64, 64))
        stored = values & 0x0FFF if signed else values + 1024
        dataset.PixelData = (stored.astype("<u2") | (0x5000 if signed else 0)).tobytes()
    volume = read_volume(narrow)
    assert sorted(map(bytes, volume.voxels)) == sorted(map(bytes, expected))


def test_values_too_large_for_16_bits_are_scaled_and_said_so(axial: list[Dataset]) -> None:
    pet = change(axial, SOPClassUID=uids.PositronEmissionTomographyImageStorage, Modality="PT", RescaleSlope="3.7")
    pet = change(pet, RescaleIntercept="0")
    volume = read_volume(pet)
    plain = read_volume(axial)
    assert volume.modality == "PT"
    assert "scaled" in volume.remarks[0]
    np.testing.assert_allclose(volume.voxels * volume.value_scale, plain.voxels * 3.7, atol=volume.value_scale)


def test_unsigned_16_bit_mr_keeps_its_values_where_they_fit(axial: list[Dataset]) -> None:
    mr = change(axial, SOPClassUID=uids.MRImageStorage, Modality="MR", RescaleIntercept=None, PixelRepresentation=0)
    for dataset in mr:
        dataset.PixelData = (np.frombuffer(dataset.PixelData, "<i2").astype(int) + 1100).astype("<u2").tobytes()
    volume = read_volume(mr)
    assert volume.value_scale == 1
    np.testing.assert_array_equal(volume.voxels - 1100, read_volume(axial).voxels)
    mr[0].PixelData = (np.frombuffer(mr[0].PixelData, "<u2") + np.uint16(60000)).tobytes()
    assert read_volume(mr).value_scale == pytest.approx(65535 / 32767)


def test_planes_come_from_the_header_alone(written: Callable[[str], SyntheticSeries]) -> None:
    header = pydicom.dcmread(written("enhanced").paths[0], stop_before_pixels=True)
    planes = planes_of(header)
    assert [plane.frame_number for plane in planes] == list(range(1, 25))
    positions = np.array([plane.position for plane in planes], dtype=float)
    np.testing.assert_allclose(positions, written("enhanced").positions_mm, atol=2e-6)
