"""A network small enough to train and run within a test, and the metadata of its package."""

from typing import Any

NETWORK: dict[str, Any] = {
    "_target_": "monai.networks.nets.DynUNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2, 2],
    "filters": [4, 4, 4],
    "norm_name": "batch",
    "res_block": False,
}
METADATA: dict[str, Any] = {
    "name": "tiny",
    "version": "1.0.0",
    "authors": "tests",
    "network_def": NETWORK,
    "spacing_mm": [3.0, 3.0, 3.0],
    "orientation": "SPL",
    "modality": "CT",
    "intensity": {"clip": [-1000, 400], "subtract": 0.0, "divide": 100.0},
    "context_voxels": 16,
    "labels": ["background", "lung"],
}
IMAGE_NETWORK: dict[str, Any] = {
    "_target_": "monai.networks.nets.ResNet",
    "block": "basic",
    "layers": [1, 1, 1, 1],
    "block_inplanes": [4, 4, 8, 8],
    "spatial_dims": 2,
    "n_input_channels": 1,
    "num_classes": 2,
}
IMAGE_METADATA: dict[str, Any] = {
    "name": "tiny classifier",
    "version": "1.0.0",
    "authors": "tests",
    "network_def": IMAGE_NETWORK,
    "modalities": ["DX", "CR"],
    "view_positions": ["PA"],
    "image_size": [64, 64],
    "intensity": {"range": "window", "subtract": 0.5, "divide": 0.25},
    "labels": [
        {"name": "no opacity", "code": ["125112009", "SCT", "Within normal limits"]},
        {"name": "opacity", "code": ["112001", "DCM", "Opacity"]},
    ],
    "activation": "softmax",
    "explained_layer": "layer4",
}
REACH = 24
"""Voxels from a voxel to the farthest that decides its output: two kernels at strides 1, 2, 4 down, at 1, 2 up; 20."""
