"""The network that engines keep in memory, with the weights of a shipped package."""

import pytest
import torch

from engine.api import Context
from engine.catalog.lung_segmentation import DEFAULT_PACKAGE, LungSegmentation
from engine.models import load_package
from engine.warm_network import WarmNetwork
from training.evaluate import dice, volume_of
from training.phantoms.thorax import thorax

AIR_HU = -1024.0


@pytest.fixture(scope="module")
def hu() -> torch.Tensor:
    return torch.from_numpy(thorax(3, (4.0, 4.0, 4.0), (64, 80, 96), healthy=True).hu).float()


def test_it_says_what_the_package_s_own_network_says(hu: torch.Tensor) -> None:
    package = load_package(DEFAULT_PACKAGE)
    found = WarmNetwork.open(DEFAULT_PACKAGE, Context(device="cpu")).of_values(hu, AIR_HU)
    with torch.inference_mode():
        expected = package.network()(package.metadata.intensity(hu)[None, None])[0]
    assert (found.argmax(0) == expected.argmax(0)).float().mean() > 0.995


def test_an_engine_with_little_memory_uses_tiles_and_draws_the_same() -> None:
    phantom = thorax(7, (4.0, 3.0, 3.0), (80, 100, 128), healthy=True)
    volume = volume_of(phantom.hu, phantom.spacing_mm)
    roomy, tight = (LungSegmentation(Context(device="cpu", memory_limit_bytes=limit)) for limit in (None, 100_000_000))
    expected, found = roomy.analyse(volume), tight.analyse(volume)
    assert roomy.algorithm().device.endswith("one pass")
    assert tight.algorithm().device.endswith("tiles")
    for one, other in zip(expected.segments, found.segments, strict=True):
        assert dice(one.mask, other.mask) > 0.99
