from typing import Any

import pytest
import torch

from engine.networks.build import build_network

QUARTET = [1, 1, 1, 1]
CLASSIFIERS: list[dict[str, Any]] = [
    {"_target_": "DenseNet", "in_channels": 1, "out_channels": 2, "init_features": 8, "growth_rate": 4, "block_config": [1, 1]},
    {
        "_target_": "ResNet",
        "block": "basic",
        "layers": QUARTET,
        "block_inplanes": [4] * 4,
        "n_input_channels": 1,
        "num_classes": 2,
    },
    {"_target_": "EfficientNetBN", "model_name": "efficientnet-b0", "in_channels": 1, "num_classes": 2},
    {"_target_": "SEResNet50", "layers": QUARTET, "in_channels": 1, "num_classes": 2},
]
SEGMENTERS: list[dict[str, Any]] = [
    {"_target_": "UNet", "in_channels": 1, "out_channels": 2, "channels": [4, 4, 4], "strides": [2, 2]},
    {"_target_": "AttentionUnet", "in_channels": 1, "out_channels": 2, "channels": [4, 4, 4], "strides": [2, 2]},
    {"_target_": "SegResNet", "init_filters": 8, "in_channels": 1, "out_channels": 2},
]


@pytest.mark.parametrize("definition", CLASSIFIERS, ids=lambda definition: definition["_target_"])
def test_a_classifier_is_built_in_two_dimensions(definition: dict[str, Any]) -> None:
    network = build_network({"spatial_dims": 2, **_named(definition)}).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 2)


@pytest.mark.parametrize("definition", SEGMENTERS, ids=lambda definition: definition["_target_"])
def test_a_segmentation_network_is_built_in_three_dimensions(definition: dict[str, Any]) -> None:
    network = build_network({"spatial_dims": 3, **_named(definition)}).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 32, 32, 32)).shape == (1, 2, 32, 32, 32)


def test_weights_are_never_downloaded() -> None:
    with pytest.raises(ValueError, match="not downloaded"):
        build_network({"_target_": "monai.networks.nets.EfficientNetBN", "model_name": "efficientnet-b0", "pretrained": True})


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="arguments do not fit"):
        build_network({"_target_": "monai.networks.nets.UNet", "colour": "blue"})


def _named(definition: dict[str, Any]) -> dict[str, Any]:
    return {**definition, "_target_": f"monai.networks.nets.{definition['_target_']}"}
