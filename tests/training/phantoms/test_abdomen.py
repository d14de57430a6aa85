import numpy as np
import pytest

from training.phantoms.abdomen import LESION, LIVER, AbdomenPhantom, abdomen

SPACING = (7.0, 7.0, 7.0)
SHAPE = (48, 48, 60)


def _liver(seed: int, lesion_share: float = 0.6) -> AbdomenPhantom:
    return abdomen(seed, (5.0, 5.0, 5.0), (52, 56, 60), close=True, lesion_share=lesion_share)


def test_a_phantom_is_decided_by_its_seed() -> None:
    first, second, other = abdomen(5, SPACING, SHAPE), abdomen(5, SPACING, SHAPE), abdomen(6, SPACING, SHAPE)
    assert np.array_equal(first.hu, second.hu)
    assert np.array_equal(first.labels, second.labels)
    assert not np.array_equal(first.hu, other.hu)


def test_livers_have_the_size_and_the_attenuation_of_livers() -> None:
    phantoms = [_liver(seed) for seed in range(8)]
    volumes_ml = [np.count_nonzero(phantom.labels) * 0.125 for phantom in phantoms]
    levels = [np.median(phantom.hu[phantom.labels == LIVER]) for phantom in phantoms]
    assert 700 < np.median(volumes_ml) < 3000
    assert min(volumes_ml) > 200
    assert max(volumes_ml) < 5500
    assert all(-40 < level < 190 for level in levels)
    assert np.ptp(levels) > 30, "phases and fat differ"


@pytest.mark.parametrize("seed", range(4))
def test_the_liver_lies_right_of_the_middle_and_mostly_in_one_piece(seed: int) -> None:
    phantom = abdomen(seed, SPACING, SHAPE)
    liver = phantom.labels > 0
    if np.count_nonzero(liver) > 500:
        assert np.nonzero(liver)[2].mean() < SHAPE[2] / 2 - 3, "columns grow towards the patient's left"


def test_lesions_differ_from_the_liver_around_them() -> None:
    contrasts = []
    for seed in range(40, 52):
        phantom = _liver(seed, lesion_share=1.0)
        if np.count_nonzero(phantom.labels == LESION) > 30:
            level = np.median(phantom.hu[phantom.labels == LIVER])
            contrasts.append(float(np.median(phantom.hu[phantom.labels == LESION]) - level))
    assert len(contrasts) >= 4
    assert min(contrasts) < -8
    assert np.median(np.abs(contrasts)) > 8


def test_no_patient_has_lesions_where_none_are_wanted() -> None:
    assert not any((_liver(seed, lesion_share=0.0).labels == LESION).any() for seed in range(3))


@pytest.mark.parametrize("seed", range(20, 26))
def test_values_stay_those_of_a_scanner(seed: int) -> None:
    phantom = abdomen(seed, SPACING, SHAPE)
    assert phantom.hu.dtype == np.int16
    assert phantom.hu.shape == phantom.labels.shape == SHAPE
    within = phantom.hu[phantom.hu != -2048]
    assert -1024 <= within.min() < within.max() <= 3071
    assert not phantom.labels[phantom.hu == -2048].any(), "nothing is known beyond the field of view"
