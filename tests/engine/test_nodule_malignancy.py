"""The whole engine on a synthetic chest with nodules of known place, and on what it must refuse."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.api import Context, Refusal
from engine.catalog.lung_segmentation import LungSegmentation
from engine.catalog.nodule_malignancy import DEFAULT_PACKAGE, MOST_REPORTED, NoduleMalignancy
from engine.findings import Findings, Measurement, Outcome, Segment
from engine.models import joint_digest, load_package
from engine.reading import read_series
from engine.volume import PatientFacts, Volume
from training.evaluate import dice, volume_of
from training.phantoms.fields import Draw, Grid
from training.phantoms.nodules_lesions import NoduleTruth, paint_nodule
from training.phantoms.thorax import LEFT_LUNG, RIGHT_LUNG, thorax

CANCER = (30, 168, 110)
"""A voxel of the tumour in the right lung of the real chest, by eye: slices from the feet, rows, columns."""
SPACING_MM = (2.5, 1.4, 1.4)
SIDES = {RIGHT_LUNG: "Right", LEFT_LUNG: "Left"}
TRUTHS = {RIGHT_LUNG: NoduleTruth("solid", 16.0, 0.0, 0.0), LEFT_LUNG: NoduleTruth("solid", 9.0, 0.0, 0.0)}


@pytest.fixture(scope="module")
def engine() -> NoduleMalignancy:
    return NoduleMalignancy(Context(device="cpu"))


@pytest.fixture(scope="module")
def chest() -> tuple[Volume, dict[int, np.ndarray]]:
    """A chest with one nodule deep in each lung, and the masks of both."""
    phantom = thorax(7, SPACING_MM, (128, 214, 272), healthy=True)
    hu, masks = torch.from_numpy(phantom.hu).float(), {}
    for number, (side, truth) in enumerate(TRUTHS.items()):
        lung = phantom.labels == side
        centre = _deep_place(lung)
        box, found = paint_nodule(hu, torch.from_numpy(lung), Grid(SPACING_MM, phantom.hu.shape), centre, truth, Draw(number))
        masks[side] = np.zeros(phantom.hu.shape, bool)
        masks[side][box] = found.numpy()
    volume = volume_of(hu.round().numpy().astype(np.int16), SPACING_MM)
    return replace(volume, patient=PatientFacts(62, "F")), masks


def _deep_place(lung: np.ndarray) -> tuple[int, int, int]:
    """The voxel of the lung nearest to its middle."""
    places = np.argwhere(lung)
    z, y, x = places[np.linalg.norm((places - places.mean(axis=0)) * SPACING_MM, axis=1).argmin()]
    return int(z), int(y), int(x)


@pytest.fixture(scope="module")
def findings(engine: NoduleMalignancy, chest: tuple[Volume, dict[int, np.ndarray]]) -> Findings:
    return engine.analyse(chest[0])


def _matching(findings: Findings, truth: np.ndarray) -> Segment:
    return max(findings.segments, key=lambda segment: dice(segment.mask, truth))


def _probabilities(segment: Segment) -> dict[str, Measurement]:
    return {m.derivation.value: m for m in segment.measurements if m.name.value in ("SUSPICION", "111047") and m.derivation}


@pytest.mark.slow
def test_both_nodules_are_found_on_their_side(findings: Findings, chest: tuple[Volume, dict[int, np.ndarray]]) -> None:
    assert findings.outcome is Outcome.FINDINGS
    assert len(findings.segments) <= MOST_REPORTED
    for side, truth in chest[1].items():
        segment = _matching(findings, truth)
        assert dice(segment.mask, truth) > 0.6
        assert segment.laterality is not None
        assert segment.laterality.meaning == SIDES[side]


@pytest.mark.slow
def test_the_larger_nodule_is_measured_and_more_suspicious(
    findings: Findings, chest: tuple[Volume, dict[int, np.ndarray]]
) -> None:
    large, small = (_matching(findings, chest[1][side]) for side in (RIGHT_LUNG, LEFT_LUNG))
    (long_mm,) = (m.value for m in large.measurements if m.name.value == "103339001")
    assert 12 < long_mm < 24
    for model in ("FEATURE-MODEL", "NETWORK", "BROCK-2B"):
        risks = [_probabilities(segment)[model] for segment in (large, small)]
        assert 0 <= risks[1].value < risks[0].value <= 100
        assert risks[0].unit.value == "%"


@pytest.mark.slow
def test_a_large_nodule_deep_in_the_lung_is_found_and_outlined(
    findings: Findings, chest: tuple[Volume, dict[int, np.ndarray]]
) -> None:
    truth = chest[1][RIGHT_LUNG]
    segment = _matching(findings, truth)
    assert dice(segment.mask, truth) > 0.6
    assert segment.laterality is not None
    assert segment.laterality.meaning == "Right"


@pytest.mark.slow
def test_segments_are_numbered_by_volume(findings: Findings, chest: tuple[Volume, dict[int, np.ndarray]]) -> None:
    volumes = [chest[0].volume_ml(segment.mask) for segment in findings.segments]
    assert volumes == pytest.approx(sorted(volumes, reverse=True), rel=0.25)
    assert [segment.key for segment in findings.segments] == [f"nodule-{n}" for n in range(1, len(volumes) + 1)]
    for segment in findings.segments:
        names = [evaluation.name.meaning for evaluation in segment.evaluations]
        assert "Malignancy Type" not in names
        assert "Lung-RADS v2022 category of the nodule" in names


@pytest.mark.slow
def test_each_nodule_has_a_heat_map_within_the_volume(findings: Findings, chest: tuple[Volume, dict[int, np.ndarray]]) -> None:
    assert [explanation.key for explanation in findings.explanations] == [segment.key for segment in findings.segments]
    for explanation in findings.explanations:
        assert explanation.heat.min() >= 0
        assert explanation.heat.max() <= 1
        ends = np.array(explanation.first) + explanation.heat.shape
        assert (ends <= chest[0].voxels.shape).all()


@pytest.mark.slow
def test_without_age_and_sex_the_brock_model_says_what_it_lacks(
    engine: NoduleMalignancy, chest: tuple[Volume, dict[int, np.ndarray]]
) -> None:
    found = engine.analyse(replace(chest[0], patient=None))
    assert found.segments
    for segment in found.segments:
        assert "BROCK-2B" not in _probabilities(segment)
        assert any("age and sex not in the header" in str(evaluation.value) for evaluation in segment.evaluations)


@pytest.mark.slow
def test_the_cancer_of_a_real_chest_is_among_the_few_places_reported(engine: NoduleMalignancy, chest_ct: Path) -> None:
    findings = engine.analyse(read_series(sorted(chest_ct.iterdir())))
    assert len(findings.segments) <= MOST_REPORTED
    (cancer,) = [segment for segment in findings.segments if segment.mask[CANCER]]
    assert cancer.laterality is not None
    assert cancer.laterality.meaning == "Right"


def test_the_algorithm_stands_for_the_weights_of_all_networks(engine: NoduleMalignancy) -> None:
    lungs = LungSegmentation(Context(device="cpu")).algorithm().weights_digest
    digests = [load_package(DEFAULT_PACKAGE / name).weights_digest for name in ("detector", "classifier")]
    assert engine.algorithm().weights_digest == joint_digest([*digests, lungs])


def test_the_weights_are_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in DEFAULT_PACKAGE.rglob("*.safetensors")) < 12e6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda volume: replace(volume, modality="MR"), "this series is MR"),
        (lambda volume: replace(volume, positions_mm=volume.positions_mm * [1, 1, 2]), "5.0 mm apart; nodules need"),
        (lambda volume: replace(volume, pixel_spacing_mm=(4.0, 4.0)), "pixels are 4.0 mm wide"),
        (
            lambda volume: replace(
                volume, voxels=volume.voxels[:30], positions_mm=volume.positions_mm[:30], slices=volume.slices[:30]
            ),
            "cover only 72 mm",
        ),
    ],
)
def test_what_nodules_cannot_be_seen_on_is_refused(
    engine: NoduleMalignancy,
    chest: tuple[Volume, dict[int, np.ndarray]],
    change: Callable[[Volume], Volume],
    reason: str,
) -> None:
    with pytest.raises(Refusal, match=reason):
        engine.analyse(change(chest[0]))


def test_an_abdomen_is_refused(engine: NoduleMalignancy, abdomen_ct: Path) -> None:
    with pytest.raises(Refusal, match="nodules need"):
        engine.analyse(read_series(sorted(abdomen_ct.glob("*.dcm"))))
