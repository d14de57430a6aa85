from dataclasses import replace

import numpy as np
import pytest

from engine.api import Context
from engine.catalog.liver_tumor import DEFAULT_PACKAGE, LESION_FOLDER, LiverTumor
from engine.findings import Findings, Outcome
from engine.models import ModelPackageError, joint_digest, load_package
from engine.volume import Volume
from training.evaluate import dice, volume_of
from training.phantoms.abdomen import AbdomenPhantom, abdomen

SPACING_MM, SHAPE = (5.0, 2.5, 2.5), (48, 100, 120)
SEED = 300_003


@pytest.fixture(scope="module")
def engine() -> LiverTumor:
    return LiverTumor(Context(device="cpu"))


@pytest.fixture(scope="module")
def phantom() -> AbdomenPhantom:
    return abdomen(SEED, SPACING_MM, SHAPE, close=True, lesion_share=1.0)


@pytest.fixture(scope="module")
def volume(phantom: AbdomenPhantom) -> Volume:
    return volume_of(phantom.hu, phantom.spacing_mm)


@pytest.fixture(scope="module")
def findings(engine: LiverTumor, volume: Volume) -> Findings:
    return engine.analyse(volume)


def _marked(findings: Findings) -> tuple[np.ndarray, np.ndarray]:
    """Liver, and all lesions."""
    liver = next(segment.mask for segment in findings.segments if segment.key == "liver")
    lesions = np.zeros_like(liver)
    for segment in findings.segments:
        if segment.key != "liver":
            lesions |= segment.mask
    return liver, lesions


def test_the_liver_is_found_with_its_volume(findings: Findings, phantom: AbdomenPhantom, volume: Volume) -> None:
    liver, _ = _marked(findings)
    assert findings.outcome is Outcome.FINDINGS
    assert dice(liver, phantom.labels > 0) > 0.9
    assert volume.volume_ml(liver) == pytest.approx(volume.volume_ml(phantom.labels > 0), rel=0.1)


def test_lesions_lie_inside_it(findings: Findings) -> None:
    liver, lesions = _marked(findings)
    assert not (lesions & ~liver).any()
    assert all(segment.anatomic_region is not None for segment in findings.segments[1:])


def test_a_stack_from_head_to_feet_gives_the_same(engine: LiverTumor, volume: Volume, findings: Findings) -> None:
    reversed_stack = replace(
        volume,
        voxels=np.ascontiguousarray(volume.voxels[::-1, :, ::-1]),
        positions_mm=volume.positions_mm[::-1] + volume.row_direction * volume.pixel_spacing_mm[1] * (SHAPE[2] - 1),
        row_direction=-volume.row_direction,
    )
    turned = _marked(engine.analyse(reversed_stack))
    for mask, other in zip(_marked(findings), turned, strict=True):
        assert dice(mask, other[::-1, :, ::-1]) > 0.98


def test_a_mirrored_patient_is_not_analysed(engine: LiverTumor, volume: Volume) -> None:
    mirrored = engine.analyse(replace(volume, voxels=np.ascontiguousarray(volume.voxels[:, :, ::-1])))
    assert mirrored.outcome is Outcome.NOT_ANALYSED
    assert mirrored.reason


def test_a_head_is_not_analysed(engine: LiverTumor) -> None:
    z, y, x = (np.arange(count) - (count - 1) / 2 for count in (60, 80, 80))
    radius = np.sqrt((z[:, None, None] / 30) ** 2 + (y[:, None] / 36) ** 2 + (x / 30) ** 2)
    hu = np.select([radius < 0.86, radius < 0.97, radius < 1.05], [38, 900, 30], -1000)
    noise = np.random.default_rng(1).normal(0, 6, hu.shape)
    told = engine.analyse(volume_of((hu + noise).astype(np.int16), (2.5, 2.5, 2.5)))
    assert told.outcome is Outcome.NOT_ANALYSED
    assert not told.segments


def test_water_without_organs_is_not_analysed(engine: LiverTumor) -> None:
    _, y, x = np.ogrid[:40, -60:60, -60:60]
    disc = np.where((y**2 + x**2 < 40**2) & np.ones((40, 1, 1), bool), 0, -1000)
    noise = np.random.default_rng(2).normal(0, 5, disc.shape)
    told = engine.analyse(volume_of((disc + noise).astype(np.int16), (5.0, 2.5, 2.5)))
    assert told.outcome is Outcome.NOT_ANALYSED


def test_the_digest_is_that_of_both_networks(engine: LiverTumor) -> None:
    liver, lesion = load_package(DEFAULT_PACKAGE), load_package(DEFAULT_PACKAGE / LESION_FOLDER)
    assert engine.algorithm().weights_digest == joint_digest([liver.weights_digest, lesion.weights_digest])


def test_the_package_is_small() -> None:
    size = sum(file.stat().st_size for file in DEFAULT_PACKAGE.rglob("*") if file.is_file())
    assert size < 12e6


def test_a_folder_without_the_package_of_the_lesions_is_refused(tmp_path: object) -> None:
    with pytest.raises(ModelPackageError):
        LiverTumor(Context(device="cpu", options={"package": str(tmp_path)}))
