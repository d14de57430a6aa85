"""What is measured of a nodule, and what follows from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalog._nodule_risk import LARGEST_BENIGN_MM, Spiculation, brock, lung_rads, malignancy
from engine.catalog._nodule_shape import features_of
from engine.volume import PatientFacts

STEP_MM = 0.8


def _ellipsoid(shape: tuple[int, int, int], radii: tuple[float, float, float]) -> np.ndarray:
    grids = np.ogrid[tuple(slice(size) for size in shape)]
    return np.asarray(
        sum(((axis - size // 2) / radius) ** 2 for axis, size, radius in zip(grids, shape, radii, strict=True)) <= 1
    )


def _patch(inside_hu: float, core_hu: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A ball of 16 mm in lung, at wish with another core."""
    mask = _ellipsoid((40, 40, 40), (10, 10, 10))
    hu = np.where(mask, inside_hu, -850).astype(np.float32)
    if core_hu is not None:
        hu[_ellipsoid((40, 40, 40), (6, 6, 6))] = core_hu
    return hu, mask


@pytest.mark.parametrize(
    ("inside_hu", "core_hu", "attenuation"),
    [
        (30, None, "solid"),
        (-600, None, "ground-glass"),
        (-600, 20, "part-solid"),
        (40, 500, "calcified"),
        (-90, None, "fat"),
    ],
)
def test_attenuation_is_told_from_the_core(inside_hu: float, core_hu: float | None, attenuation: str) -> None:
    hu, mask = _patch(inside_hu, core_hu)
    assert features_of(hu, mask, STEP_MM).attenuation == attenuation


def test_a_ball_is_measured_as_a_ball() -> None:
    features = features_of(*_patch(30), STEP_MM)
    assert features.diameter_mm == pytest.approx(16, rel=0.03)
    assert features.solid_diameter_mm == pytest.approx(16, rel=0.03)
    assert features.sphericity > 0.9


def test_a_lump_with_spikes_is_less_spherical() -> None:
    _, mask = _patch(30)
    spiked = mask.copy()
    spiked[20, 20, :] = spiked[20, :, 20] = spiked[:, 20, 20] = spiked[10:30:4, 4:36, 20] = True
    hu = np.zeros(mask.shape, np.float32)
    assert features_of(hu, spiked, STEP_MM).sphericity < features_of(hu, mask, STEP_MM).sphericity - 0.1


@pytest.mark.parametrize(
    ("size_mm", "solid_mm", "attenuation", "category"),
    [
        (5.9, 5.9, "solid", "2"),
        (6.0, 6.0, "solid", "3"),
        (8.0, 8.0, "solid", "4A"),
        (15.0, 15.0, "solid", "4B"),
        (5.0, 2.0, "part-solid", "2"),
        (12.0, 4.0, "part-solid", "3"),
        (12.0, 7.0, "part-solid", "4A"),
        (12.0, 9.0, "part-solid", "4B"),
        (29.9, 0.0, "ground-glass", "2"),
        (30.0, 0.0, "ground-glass", "3"),
        (12.0, 12.0, "calcified", "4A"),
        (12.0, 12.0, "fat", "1"),
    ],
)
def test_lung_rads_categories_are_those_of_the_2022_table(
    size_mm: float, solid_mm: float, attenuation: str, category: str
) -> None:
    assert lung_rads(size_mm, solid_mm, attenuation) == category


def test_brock_gives_the_published_examples() -> None:
    """The model's constant is the log-odds of a man of 62 with a solid smooth nodule of 4 mm in a lower lobe among four."""
    man = PatientFacts(62, "M")
    base = brock(man, 4.0, "solid", upper=False, nodules=4, spiculated=False)
    assert base == pytest.approx(1 / (1 + np.exp(6.7892)), rel=1e-6)
    large = brock(PatientFacts(70, "F"), 20.0, "part-solid", upper=True, nodules=1, spiculated=True)
    odds = -6.7892 + 0.0287 * 8 + 0.6011 - 5.3854 * (2**-0.5 - 1.58113883) + 0.377 + 0.6581 + 0.0824 * 3 + 0.7729
    assert large == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-6)


@pytest.mark.parametrize("patient", [PatientFacts(), PatientFacts(60, ""), PatientFacts(None, "F")])
def test_brock_is_not_guessed_without_age_or_sex(patient: PatientFacts) -> None:
    assert brock(patient, 10.0, "solid", upper=True, nodules=1, spiculated=False) is None


@given(st.floats(3, 40), st.floats(1.01, 2), st.sampled_from(["solid", "part-solid", "ground-glass"]), st.floats(0, 1))
def test_larger_and_rougher_is_more_suspicious(size_mm: float, factor: float, attenuation: str, spiculation: float) -> None:
    here = malignancy(size_mm, attenuation, spiculation)
    assert 0 < here < malignancy(size_mm * factor, attenuation, spiculation) < 1
    assert here <= malignancy(size_mm, attenuation, min(1.0, spiculation + 0.1))
    if size_mm < LARGEST_BENIGN_MM:
        assert malignancy(size_mm, "calcified", spiculation) < malignancy(size_mm, "solid", spiculation)


def test_roughness_speaks_for_spicules() -> None:
    model = Spiculation(intercept=-4.0, roughness=10.0)
    assert model.probability(0.95) < 0.1
    assert model.probability(0.4) > 0.8
