"""The brain tumour engine with its shipped weights, on synthetic heads in many stacks and on real images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own documentation's name

from engine.api import CompanionEngine, Context, Refusal
from engine.catalog.brain_tumor import CONTRAST_T1, DEFAULT_PACKAGE, BrainTumor
from engine.findings import Findings, Outcome
from engine.models import load_package
from engine.reading import read_series
from engine.volume import SequenceFacts, SliceReference, Volume
from tests.real_data import RealData
from tests.stack_variants import Truth, Variant, reversed_stack, unchanged
from training.evaluate import dice
from training.phantoms.head import ENHANCING, TUMOUR, HeadPhantom, head
from training.recipes.brain_tumor import volume_of_head

SPACING, SHAPE = (3.0, 2.0, 2.0), (64, 112, 96)
ENHANCING_SEED = 19


@pytest.fixture(scope="module")
def engine() -> BrainTumor:
    return BrainTumor(Context(device="cpu"))


@pytest.fixture(scope="module")
def phantom() -> HeadPhantom:
    return head(ENHANCING_SEED, SPACING, SHAPE, tumours=1)


@pytest.fixture(scope="module")
def flair(phantom: HeadPhantom) -> Volume:
    facts = SequenceFacts(echo_time_ms=120, repetition_time_ms=9000, inversion_time_ms=2500)
    return replace(volume_of_head(phantom, phantom.flair), sequence=facts)


@pytest.fixture(scope="module")
def contrast_t1(phantom: HeadPhantom) -> Volume:
    facts = SequenceFacts(echo_time_ms=10, repetition_time_ms=600, contrast_agent=True)
    return replace(volume_of_head(phantom, phantom.contrast_t1), sequence=facts)


def _sagittal(volume: Volume, truth: Truth) -> tuple[Volume, Truth]:
    """Slices of 4 mm from left to right, rows from head to feet, columns from front to back."""
    slice_mm, rows_mm, columns_mm = volume.spacing_mm
    voxels, labels = (values[::-1].transpose(2, 0, 1) for values in (volume.voxels, truth))
    pairs = (voxels[0::2].astype(int) + voxels[1::2]) // 2
    places = np.arange(len(pairs)) * 2 + 0.5
    changed = replace(
        volume,
        voxels=np.ascontiguousarray(pairs[::-1].astype(np.int16)),
        positions_mm=volume.positions_mm[-1] + np.outer(places[::-1], [columns_mm, 0, 0]),
        row_direction=np.array([0.0, 1.0, 0.0]),
        column_direction=np.array([0.0, 0.0, -1.0]),
        pixel_spacing_mm=(slice_mm, rows_mm),
        slices=tuple(SliceReference(f"2.25.{index}") for index in range(len(pairs))),
    )
    return changed, np.maximum(labels[0::2], labels[1::2])[::-1]


@pytest.mark.parametrize("variant", [unchanged, reversed_stack, _sagittal])
def test_the_tumour_is_found_in_its_place_whatever_the_stack(
    engine: BrainTumor, flair: Volume, phantom: HeadPhantom, variant: Variant
) -> None:
    changed, truth = variant(flair, phantom.labels >= TUMOUR)
    findings = engine.analyse(changed)
    assert findings.outcome is Outcome.FINDINGS
    masks = _masks(findings)
    assert set(masks) == {"tumour"}, "FLAIR alone does not show what enhances"
    assert dice(masks["tumour"], truth) > 0.75


def test_with_a_contrast_t1_the_enhancing_part_is_told_apart(
    engine: BrainTumor, flair: Volume, contrast_t1: Volume, phantom: HeadPhantom
) -> None:
    assert isinstance(engine, CompanionEngine)
    findings = engine.analyse_with(flair, {CONTRAST_T1: contrast_t1})
    masks = _masks(findings)
    assert dice(masks["tumour"], phantom.labels >= TUMOUR) > 0.75
    assert dice(masks["enhancing"], phantom.labels == ENHANCING) > 0.5
    assert np.array_equal(masks["enhancing"] ^ masks["non-enhancing"], masks["tumour"])
    assert {segment.property_type.value for segment in findings.segments} == {"108369006", "C113842", "C81175"}


def test_a_companion_on_another_grid_serves_as_well(
    engine: BrainTumor, flair: Volume, contrast_t1: Volume, phantom: HeadPhantom
) -> None:
    sagittal, _ = _sagittal(contrast_t1, phantom.labels)
    masks = _masks(engine.analyse_with(flair, {CONTRAST_T1: sagittal}))
    assert dice(masks["enhancing"], phantom.labels == ENHANCING) > 0.4


def test_a_companion_of_something_else_is_left_out_and_named(engine: BrainTumor, flair: Volume, contrast_t1: Volume) -> None:
    aside = replace(contrast_t1, positions_mm=contrast_t1.positions_mm + np.array([0.0, 0.0, 150.0]))
    findings = engine.analyse_with(flair, {CONTRAST_T1: aside})
    assert [segment.key for segment in findings.segments] == ["tumour"]
    assert any("contrast T1 was not used: it shows only" in remark for remark in findings.remarks)


def test_a_second_run_gives_the_same_voxels(engine: BrainTumor, flair: Volume) -> None:
    first, second = (_masks(engine.analyse(flair)) for _ in range(2))
    assert np.array_equal(first["tumour"], second["tumour"])


def test_the_algorithm_names_its_weights_and_device(engine: BrainTumor, flair: Volume) -> None:
    algorithm = engine.analyse(flair).algorithm
    assert algorithm.weights_digest == load_package(DEFAULT_PACKAGE).weights_digest
    assert "CPU" in algorithm.device


def test_a_head_without_tumour_is_a_result_with_its_reason(engine: BrainTumor) -> None:
    healthy = head(2, SPACING, SHAPE, tumours=0)
    findings = engine.analyse(volume_of_head(healthy, healthy.flair))
    assert findings.outcome is Outcome.NOTHING_FOUND
    assert "No tumour of 0.3 ml or more" in findings.reason
    assert findings.segments == ()


def test_an_image_of_noise_is_no_brain(engine: BrainTumor, flair: Volume) -> None:
    noise = np.random.default_rng(0).integers(0, 300, flair.voxels.shape).astype(np.int16)
    with pytest.raises(Refusal, match="brain were found"):
        engine.analyse(replace(flair, voxels=noise))


def test_an_empty_image_is_refused(engine: BrainTumor, flair: Volume) -> None:
    with pytest.raises(Refusal, match="No brain in the field of view"):
        engine.analyse(replace(flair, voxels=np.zeros_like(flair.voxels)))


def test_a_ct_is_refused(engine: BrainTumor, flair: Volume) -> None:
    with pytest.raises(Refusal, match="needs MR; this series is CT"):
        engine.analyse(replace(flair, modality="CT"))


def test_a_real_contrast_t1_is_refused(engine: BrainTumor, brain_mr: Path) -> None:
    with pytest.raises(Refusal, match="echo time of 2.97 ms"):
        engine.analyse(read_series(sorted(brain_mr.glob("*.dcm"))))


def test_a_real_tumour_agrees_with_its_reference(engine: BrainTumor, real_data: RealData) -> None:
    folder = real_data.folder("mr_brain_TCGA-DU-7294") / "TCGA-DU-7294_brainles"
    images = {name: _read(folder / "raw_bet" / f"TCGA-DU-7294_{name}_bet.nii.gz") for name in ("fla", "t1c", "t2")}
    truth = sitk.GetArrayFromImage(sitk.ReadImage(folder / "fusion" / "mav.nii.gz")) > 0
    assert dice(_masks(engine.analyse_with(images["fla"], {CONTRAST_T1: images["t1c"]}))["tumour"], truth) > 0.8
    with pytest.raises(Refusal, match="Fluid is bright"):
        engine.analyse(images["t2"])


def _read(path: Path) -> Volume:
    """BraTS space: 1 mm, axes to the left, posterior and to the head."""
    voxels = np.clip(sitk.GetArrayFromImage(sitk.ReadImage(path)), 0, None).astype(np.int16)
    phantom = HeadPhantom(voxels, voxels, np.zeros_like(voxels, np.uint8), stripped=True, spacing_mm=(1.0, 1.0, 1.0))
    return volume_of_head(phantom, voxels)


def _masks(findings: Findings) -> dict[str, np.ndarray]:
    return {segment.key: segment.mask for segment in findings.segments}
