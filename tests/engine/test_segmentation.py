"""The engine for any segmentation package, with the lungs' own weights as somebody's package."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.api import Context, Refusal
from engine.catalog.lung_segmentation import DEFAULT_PACKAGE
from engine.catalog.segmentation import Segmentation
from engine.findings import Code, Outcome
from engine.models import METADATA_FILE, ModelPackageError, write_sums
from engine.volume import Volume
from training.evaluate import dice, volume_of
from training.phantoms.thorax import LEFT_LUNG, RIGHT_LUNG, ThoraxPhantom, thorax

LUNG = ["39607008", "SCT", "Lung"]
LUNGS: list[dict[str, Any]] = [
    {"label": "right lung", "code": LUNG, "laterality": ["24028007", "SCT", "Right"], "minimum_ml": 50},
    {"label": "left lung", "code": LUNG, "laterality": ["7771000", "SCT", "Left"]},
]


def package(folder: Path, structures: list[dict[str, Any]] | None) -> Path:
    """The lungs' package as a hospital would bring one of its own."""
    shutil.copytree(DEFAULT_PACKAGE, folder)
    file = folder / METADATA_FILE
    metadata = json.loads(file.read_text(encoding="utf-8"))
    if structures is not None:
        metadata["structures"] = structures
    file.write_text(json.dumps(metadata), encoding="utf-8")
    write_sums(folder)
    return folder


def engine(folder: Path) -> Segmentation:
    return Segmentation(Context(device="cpu", options={"package": str(folder)}))


@pytest.fixture(scope="module")
def lungs(tmp_path_factory: pytest.TempPathFactory) -> Segmentation:
    return engine(package(tmp_path_factory.mktemp("packages") / "lungs", LUNGS))


@pytest.fixture(scope="module")
def phantom() -> ThoraxPhantom:
    return thorax(7, (4.0, 3.0, 3.0), (80, 100, 128), healthy=True)


@pytest.fixture(scope="module")
def volume(phantom: ThoraxPhantom) -> Volume:
    return volume_of(phantom.hu, phantom.spacing_mm)


def test_the_structures_of_a_package_become_coded_segments(lungs: Segmentation, phantom: ThoraxPhantom, volume: Volume) -> None:
    findings = lungs.analyse(volume)
    assert findings.outcome is Outcome.FINDINGS
    assert [segment.key for segment in findings.segments] == ["right-lung", "left-lung"]
    assert findings.segments[0].property_type == Code("39607008", "SCT", "Lung")
    assert findings.segments[0].laterality == Code("24028007", "SCT", "Right")
    for segment, label in zip(findings.segments, (RIGHT_LUNG, LEFT_LUNG), strict=True):
        assert dice(segment.mask, phantom.labels == label) > 0.85
    assert findings.algorithm.device.endswith("one pass")
    assert "right lung, left lung" in findings.algorithm.parameters


def test_what_is_smaller_than_a_structure_may_be_is_nothing(lungs: Segmentation, volume: Volume) -> None:
    findings = lungs.analyse(replace(volume, voxels=np.full_like(volume.voxels, 40)))
    assert findings.outcome is Outcome.NOTHING_FOUND
    assert findings.reason == "None of these was found: right lung, left lung."


def test_it_refuses_what_the_package_was_not_made_for(lungs: Segmentation, volume: Volume) -> None:
    with pytest.raises(Refusal, match="made for CT; this series is MR"):
        lungs.analyse(replace(volume, modality="MR"))
    thin = replace(volume, voxels=volume.voxels[:3], positions_mm=volume.positions_mm[:3], slices=volume.slices[:3])
    with pytest.raises(Refusal, match="Only 3 slices"):
        lungs.analyse(thin)


@pytest.mark.parametrize(
    ("structures", "message"),
    [
        (None, "does not list its `structures`"),
        ([{"label": "left lung"}], "does not list its `structures`"),
        ([{"label": "spleen", "code": ["78961009", "SCT", "Spleen"]}], r"\['spleen'\] are none of its labels"),
        ([{"label": "background", "code": ["78961009", "SCT", "Spleen"]}], "are none of its labels"),
    ],
)
def test_a_package_that_does_not_say_its_structures_is_no_use(
    tmp_path: Path, structures: list[dict[str, Any]] | None, message: str
) -> None:
    with pytest.raises(ModelPackageError, match=message):
        engine(package(tmp_path / "package", structures))


def test_without_a_package_it_says_where_to_name_one() -> None:
    with pytest.raises(ModelPackageError, match='set package = "/folder"'):
        Segmentation(Context(device="cpu"))
