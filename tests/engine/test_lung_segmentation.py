from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own documentation's name

from engine.api import Context, Refusal
from engine.catalog.lung_segmentation import DEFAULT_PACKAGE, LungSegmentation
from engine.findings import Findings, Outcome
from engine.models import load_package
from engine.reading import read_series
from engine.reading.rescale import BACKGROUND
from engine.volume import SliceReference, Volume
from tests.stack_variants import Truth, Variant, reversed_stack, unchanged
from training.evaluate import dice, volume_of
from training.phantoms.thorax import LEFT_LUNG, RIGHT_LUNG, ThoraxPhantom, thorax


@pytest.fixture(scope="module")
def engine() -> LungSegmentation:
    return LungSegmentation(Context(device="cpu"))


@pytest.fixture(scope="module")
def phantom() -> ThoraxPhantom:
    return thorax(7, (4.0, 3.0, 3.0), (80, 100, 128), healthy=True)


@pytest.fixture(scope="module")
def volume(phantom: ThoraxPhantom) -> Volume:
    return volume_of(phantom.hu, phantom.spacing_mm)


def _prone_feet_first(volume: Volume, truth: Truth) -> tuple[Volume, Truth]:
    """Rows to the front and columns to the patient's right."""
    rows_mm, columns_mm = volume.pixel_spacing_mm
    shift = np.array([columns_mm * (truth.shape[2] - 1), rows_mm * (truth.shape[1] - 1), 0])
    changed = replace(
        volume,
        voxels=np.ascontiguousarray(volume.voxels[:, ::-1, ::-1]),
        positions_mm=volume.positions_mm + shift,
        row_direction=-volume.row_direction,
        column_direction=-volume.column_direction,
    )
    return changed, truth[:, ::-1, ::-1]


def _tilted(volume: Volume, truth: Truth) -> tuple[Volume, Truth]:
    """Gantry tilt: every slice starts one pixel further back than the one before, and shows what is there."""
    step_mm = volume.pixel_spacing_mm[0]
    offsets = np.arange(len(truth)) // 4
    positions = volume.positions_mm + np.outer(offsets, [0, step_mm, 0])
    voxels, labels = np.full_like(volume.voxels, -1024), np.zeros_like(truth)
    for index, offset in enumerate(offsets):
        count = truth.shape[1] - offset
        voxels[index, :count], labels[index, :count] = volume.voxels[index, offset:], truth[index, offset:]
    return replace(volume, voxels=voxels, positions_mm=positions), labels


def _coronal(volume: Volume, truth: Truth) -> tuple[Volume, Truth]:
    """Slices from front to back, rows from head to feet."""
    slice_mm, rows_mm, columns_mm = volume.spacing_mm
    first = volume.positions_mm[-1]
    changed = replace(
        volume,
        voxels=np.ascontiguousarray(volume.voxels[::-1].transpose(1, 0, 2)),
        positions_mm=first + np.outer(np.arange(truth.shape[1]), [0, rows_mm, 0]),
        column_direction=np.array([0.0, 0.0, -1.0]),
        pixel_spacing_mm=(slice_mm, columns_mm),
        slices=tuple(SliceReference(f"2.25.{index}") for index in range(truth.shape[1])),
    )
    return changed, truth[::-1].transpose(1, 0, 2)


def _uneven(volume: Volume, truth: Truth) -> tuple[Volume, Truth]:
    """Every second slice of the lower half is missing."""
    kept = np.r_[0:40:2, 40:80]
    return (
        replace(
            volume,
            voxels=volume.voxels[kept],
            positions_mm=volume.positions_mm[kept],
            slices=tuple(volume.slices[index] for index in kept),
        ),
        truth[kept],
    )


@pytest.mark.parametrize("variant", [unchanged, reversed_stack, _prone_feet_first, _tilted, _coronal, _uneven])
def test_each_lung_is_found_on_its_side_whatever_the_stack(
    engine: LungSegmentation, volume: Volume, phantom: ThoraxPhantom, variant: Variant
) -> None:
    changed, truth = variant(volume, phantom.labels)
    findings = engine.analyse(changed)
    assert findings.outcome is Outcome.FINDINGS
    masks = _masks(findings)
    assert dice(masks["right-lung"], truth == RIGHT_LUNG) > 0.9
    assert dice(masks["left-lung"], truth == LEFT_LUNG) > 0.9
    assert not any("sides" in remark for remark in findings.remarks)


def test_a_second_run_gives_the_same_voxels(engine: LungSegmentation, volume: Volume) -> None:
    first, second = (_masks(engine.analyse(volume)) for _ in range(2))
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_segments_carry_codes_and_attenuation(engine: LungSegmentation, volume: Volume) -> None:
    findings = engine.analyse(volume)
    right, left = findings.segments
    assert right.laterality is not None
    assert left.laterality is not None
    assert (right.laterality.value, left.laterality.value) == ("24028007", "7771000")
    for segment in findings.segments:
        (attenuation,) = segment.measurements
        assert (attenuation.name.value, attenuation.unit.value) == ("112031", "[hnsf'U]")
        assert attenuation.value == pytest.approx(volume.voxels[segment.mask].mean(), abs=0.1)
        assert -950 < attenuation.value < -700
    assert findings.algorithm.weights_digest == load_package(DEFAULT_PACKAGE).weights_digest
    assert "CPU" in findings.algorithm.device


def test_the_trachea_is_no_lung(engine: LungSegmentation, volume: Volume, phantom: ThoraxPhantom) -> None:
    lungs = np.logical_or(*_masks(engine.analyse(volume)).values())
    assert lungs[phantom.airway].mean() < 0.2


def _part(volume: Volume, kept: slice) -> Volume:
    return replace(volume, voxels=volume.voxels[kept], positions_mm=volume.positions_mm[kept], slices=volume.slices[kept])


def _columns(volume: Volume, first: int, last: int) -> Volume:
    shift = volume.row_direction * volume.pixel_spacing_mm[1] * first
    voxels = np.ascontiguousarray(volume.voxels[:, :, first:last])
    return replace(volume, voxels=voxels, positions_mm=volume.positions_mm + shift)


def _water(volume: Volume) -> Volume:
    """A cylinder for quality control."""
    _, rows, columns = np.ogrid[:80, :100, :128]
    barrel = (rows - 50) ** 2 + (columns - 64) ** 2 < 40**2
    return replace(volume, voxels=np.where(np.broadcast_to(barrel, volume.voxels.shape), 20, -1000).astype(np.int16))


def _without_lungs(volume: Volume) -> Volume:
    """Air within the body is replaced by tissue."""
    body = np.zeros(volume.voxels.shape, bool)
    body[:, 15:85, 15:113] = True
    return replace(volume, voxels=np.where(body & (volume.voxels < -300), 30, volume.voxels).astype(np.int16))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda volume: _part(volume, slice(30, 55)), "Only a part of the lungs is in the scan"),
        (lambda volume: _columns(volume, 0, 62), "end in the middle of the body"),
        (_water, "has no bones: it seems to be a phantom"),
        (_without_lungs, "No lungs in the field of view"),
    ],
)
def test_what_shows_no_whole_lungs_is_refused_in_words(
    engine: LungSegmentation, volume: Volume, change: Callable[[Volume], Volume], reason: str
) -> None:
    with pytest.raises(Refusal, match=reason):
        engine.analyse(change(volume))


def _first(count: int) -> Callable[[Volume], Volume]:
    return lambda volume: replace(
        volume, voxels=volume.voxels[:count], positions_mm=volume.positions_mm[:count], slices=volume.slices[:count]
    )


def _stretched(factor: float) -> Callable[[Volume], Volume]:
    return lambda volume: replace(volume, positions_mm=volume.positions_mm * [1, 1, factor])


def _without_rescale(volume: Volume) -> Volume:
    """As a sender makes it that loses Rescale Intercept -1024 but keeps the padding."""
    voxels = np.clip(volume.voxels, -1023, None) + np.int16(1024)
    voxels[:, 0] = BACKGROUND["CT"]
    return replace(volume, voxels=voxels)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda volume: replace(volume, modality="MR"), "needs CT; this series is MR"),
        (_first(9), "Only 9 slices"),
        (_first(12), "cover only 44 mm"),
        (_stretched(3.0), "12.0 mm apart"),
        (lambda volume: replace(volume, pixel_spacing_mm=(0.01, 0.01)), "pixel spacing of 0.01 x 0.01 mm"),
        (_without_rescale, "No voxel is as dark as air, none even below -300 HU"),
    ],
)
def test_what_the_engine_was_not_made_for_is_refused_in_words(
    engine: LungSegmentation, volume: Volume, change: Callable[[Volume], Volume], reason: str
) -> None:
    with pytest.raises(Refusal, match=reason):
        engine.analyse(change(volume))


def test_a_real_chest_has_two_lungs_of_plausible_size(engine: LungSegmentation, chest_ct: Path) -> None:
    volume = read_series(sorted(chest_ct.glob("*.dcm")))
    masks = _masks(engine.analyse(volume))
    assert 2400 < volume.volume_ml(masks["right-lung"]) < 3000
    assert 1700 < volume.volume_ml(masks["left-lung"]) < 2200


def test_a_real_abdomen_is_refused_though_it_shows_the_bases(engine: LungSegmentation, abdomen_ct: Path) -> None:
    with pytest.raises(Refusal, match="Only a part of the lungs"):
        engine.analyse(read_series(sorted(abdomen_ct.glob("*.dcm"))))


def test_a_lung_half_without_air_is_told(engine: LungSegmentation, volume: Volume, phantom: ThoraxPhantom) -> None:
    lower = np.arange(len(phantom.labels))[:, None, None] < np.median(np.nonzero(phantom.labels == LEFT_LUNG)[0])
    solid = replace(volume, voxels=np.where(lower & (phantom.labels == LEFT_LUNG), 30, volume.voxels).astype(np.int16))
    assert any("Left lung:" in remark for remark in engine.analyse(solid).remarks)


def test_a_real_labelled_chest_agrees_with_its_reference(engine: LungSegmentation, small_extras: Path) -> None:
    folder = small_extras / "cip_ct64_dicom"
    image = sitk.DICOMOrient(sitk.ReadImage(folder / "ct-64.nrrd"), "LPS")
    region = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(folder / "lm-64.nrrd"), "LPS")) & 255
    hu = sitk.GetArrayFromImage(image).round().astype(np.int16)
    spacing = image.GetSpacing()
    masks = _masks(engine.analyse(volume_of(hu, (spacing[2], spacing[1], spacing[0]))))
    assert dice(masks["right-lung"], np.isin(region, (12, 13, 14))) > 0.975
    assert dice(masks["left-lung"], np.isin(region, (9, 10, 11))) > 0.975


def _masks(findings: Findings) -> dict[str, np.ndarray]:
    return {segment.key: segment.mask for segment in findings.segments}
