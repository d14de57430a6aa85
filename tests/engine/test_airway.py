import numpy as np
import pytest

from engine.catalog._airway import find_airway

SPACING_MM = (3.0, 3.0, 3.0)
SHAPE = (40, 30, 40)


def _chest(thin_wall: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, labels and the true lumen: a trachea between two lungs; within the given slices no wall parts it from them."""
    hu = np.full(SHAPE, 40, np.float32)
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 4:26, 4:14], labels[:, 4:26, 26:36] = 1, 2
    labels[thin_wall, 9:22, 14:26] = 1
    hu[labels > 0] = -850
    lumen = np.zeros(SHAPE, bool)
    lumen[:, 13:18, 17:22] = True
    hu[lumen] = -1000
    return hu, labels, lumen


@pytest.mark.parametrize("thin_wall", [slice(0), slice(15, 24)])
def test_the_lumen_is_found_along_its_length_even_where_its_wall_is_not(thin_wall: slice) -> None:
    hu, labels, lumen = _chest(thin_wall)
    air = hu < -400
    found = find_airway(air, air, labels, hu, SPACING_MM)
    assert found.any(axis=(1, 2)).all()
    assert found[lumen].mean() > 0.9
    assert not found[~lumen].any()


def test_a_long_way_without_a_section_is_not_bridged() -> None:
    hu, labels, _ = _chest(slice(9, 31))
    air = hu < -400
    assert not find_airway(air, air, labels, hu, SPACING_MM)[10:30].any()
