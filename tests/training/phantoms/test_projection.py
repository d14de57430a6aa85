import numpy as np
import pytest

from training.phantoms.projection import VARIANTS, RadiographPhantom, radiograph


@pytest.fixture(scope="module")
def radiographs() -> list[RadiographPhantom]:
    """Those of one patient."""
    return [radiograph(VARIANTS * 5 + variant) for variant in range(VARIANTS)]


def test_a_seed_gives_the_same_radiograph_on_every_run(radiographs: list[RadiographPhantom]) -> None:
    again = radiograph(VARIANTS * 5 + 1)
    assert again.kind == radiographs[1].kind
    assert np.array_equal(again.pixels, radiographs[1].pixels)


def test_every_second_radiograph_shows_an_opacity(radiographs: list[RadiographPhantom]) -> None:
    assert [phantom.kind == "healthy" for phantom in radiographs] == [True, False, True, False]
    assert [bool(phantom.opacity.any()) for phantom in radiographs] == [False, True, False, True]


def test_an_opacity_is_brighter_than_the_lung_it_hides(radiographs: list[RadiographPhantom]) -> None:
    for phantom in radiographs[1::2]:
        lung = phantom.pixels[40:80]
        dark = np.percentile(lung, 20)
        assert phantom.pixels[phantom.opacity].mean() > dark


def test_the_window_holds_most_of_the_image(radiographs: list[RadiographPhantom]) -> None:
    for phantom in radiographs:
        low, high = phantom.window
        assert ((phantom.pixels >= low) & (phantom.pixels <= high)).mean() > 0.85
