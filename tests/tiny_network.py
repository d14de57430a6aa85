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
REACH = 24
"""Voxels from a voxel to the farthest that decides its output: two kernels at strides 1, 2, 4 down, at 1, 2 up; 20."""
