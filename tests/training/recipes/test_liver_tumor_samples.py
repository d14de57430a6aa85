import numpy as np
import pytest

from training.errors import LabelError
from training.recipes._liver_tumor_samples import lesions_alone, whole_liver


def _case() -> tuple[np.ndarray, np.ndarray]:
    """A liver of 100 HU with a lesion of 60 HU, in air."""
    image, labels = np.full((20, 30, 40), -1000, np.int16), np.zeros((20, 30, 40), np.uint8)
    labels[8:14, 10:20, 12:28] = 1
    labels[10:12, 14:16, 18:22] = 2
    image[labels == 1], image[labels == 2] = 100, 60
    return image, labels


def test_lesions_belong_to_the_liver_of_the_first_network() -> None:
    image, labels = whole_liver(_case())
    assert image.shape == labels.shape == (64, 64, 80)
    assert np.array_equal(labels[:20, :30, :40], _case()[1] > 0)
    assert (image[20:] == -1024).all()
    assert not labels[20:].any()


def test_the_second_network_sees_the_liver_above_its_own_level() -> None:
    image, labels = lesions_alone(_case())
    assert image.shape == labels.shape == (18, 22, 28)
    assert set(np.unique(image[labels == 1])) == {-40}
    assert np.count_nonzero(labels) == 16
    assert np.count_nonzero(image == 0) == 6 * 10 * 16 - 16


def test_a_case_without_liver_is_refused() -> None:
    image, labels = _case()
    with pytest.raises(LabelError, match="neither liver nor lesion"):
        lesions_alone((image, np.zeros_like(labels)))
