from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import ScaleIntensityRanged
from monai.transforms.post.dictionary import Activationsd, AsDiscreted, Invertd
from monai.transforms.spatial.dictionary import Orientationd, Spacingd
from torch import nn

from engine.models import ModelPackage
from engine.networks.build import build_network
from engine.networks.memory import WORKSPACE, activation_bytes_per_voxel
from engine.runtime import Segmenter, chained_argmax
from engine.volume import SliceReference, Volume
from tests.tiny_network import METADATA, NETWORK, REACH
from training.export import write_package

BALLS = (((60, 45, 30), 22.0, 200), ((40, 70, 95), 18.0, -300))
"""Centre (slice, row, column) in mm, radius in mm and HU in a world of -1000 HU."""


def _network(classes: int, norm: str = "batch") -> nn.Module:
    torch.manual_seed(2)
    network = build_network({**NETWORK, "out_channels": classes, "norm_name": norm})
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(2, 1, 32, 32, 32))
    return network.eval()


def _package(folder: Path, classes: int = 2, norm: str = "batch", **changes: Any) -> ModelPackage:
    metadata = {
        **METADATA,
        "network_def": {**NETWORK, "out_channels": classes, "norm_name": norm},
        "context_voxels": REACH,
        "labels": [f"label {number}" for number in range(classes)],
        **changes,
    }
    return write_package(folder, _network(classes, norm), metadata, "A card.\n")


@pytest.fixture(scope="module")
def volume() -> Volume:
    spacing_mm, shape = (2.0, 1.5, 1.4), (50, 80, 90)
    z, y, x = np.meshgrid(*(np.arange(count) * step for count, step in zip(shape, spacing_mm, strict=True)), indexing="ij")
    voxels = np.full(shape, -1000.0)
    for (cz, cy, cx), radius, hu in BALLS:
        voxels[(z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < radius**2] = hu
    return Volume(
        voxels=voxels.astype(np.int16),
        positions_mm=np.array([[0.0, 0.0, index * spacing_mm[0]] for index in range(shape[0])]),
        row_direction=np.array([1.0, 0.0, 0.0]),
        column_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=spacing_mm[1:],
        slice_thickness_mm=2.0,
        modality="CT",
        slices=tuple(SliceReference(f"2.25.{index}") for index in range(shape[0])),
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_the_labels_are_those_of_monais_own_bundle_pipeline(tmp_path: Path, volume: Volume, classes: int) -> None:
    package = _package(
        tmp_path / "tiny",
        classes,
        orientation="RAS",
        sampling="linear",
        interpolated="probabilities",
        spacing_mm=[2.4, 2.2, 2.1],
    )
    found = Segmenter(package, "cpu").labels(volume).labels
    expected = _monai_labels(package, volume)
    inner = (slice(2, -2),) * 3
    assert found.shape == volume.voxels.shape
    assert np.unique(expected).size == classes
    assert (found == expected)[inner].mean() > 0.995


def _monai_labels(package: ModelPackage, volume: Volume) -> np.ndarray:
    """By the transforms of a bundle's inference.json, in one window that holds the whole volume."""
    metadata = package.metadata
    step, down, across = volume.spacing_mm
    affine = torch.diag(torch.tensor([-across, -down, step, 1.0], dtype=torch.float64))
    image = MetaTensor(torch.from_numpy(volume.voxels.transpose(2, 1, 0).astype(np.float32))[None], affine=affine)
    low, high = metadata.intensity.clip
    ends = [float(metadata.intensity(torch.tensor(end))) for end in (low, high)]
    before = Compose(
        [
            Orientationd("image", axcodes="RAS", labels=None),
            Spacingd("image", pixdim=metadata.spacing_mm[::-1], mode="bilinear"),
            ScaleIntensityRanged("image", a_min=low, a_max=high, b_min=ends[0], b_max=ends[1], clip=True),
        ]
    )
    after = Compose(
        [
            Activationsd("pred", softmax=True),
            Invertd("pred", transform=before, orig_keys="image", nearest_interp=False),
            AsDiscreted("pred", argmax=True),
        ]
    )
    with torch.inference_mode():
        data = before({"image": image})
        padding = [amount for size in reversed(data["image"].shape[1:]) for amount in (0, -size % 16)]
        padded = nn.functional.pad(data["image"].as_tensor()[None], padding, value=ends[0])
        logits = package.network()(padded)[0]
        data["pred"] = logits[(slice(None), *(slice(size) for size in data["image"].shape[1:]))]
        return np.asarray(after(data)["pred"][0].numpy().transpose(2, 1, 0))


def test_less_memory_means_tiles_and_the_same_labels(tmp_path: Path, volume: Volume) -> None:
    package = _package(tmp_path / "tiny", spacing_mm=[1.2, 1.2, 1.2])
    roomy = Segmenter(package, "cpu").labels(volume)
    tight = Segmenter(package, "cpu", memory_limit_bytes=25_000_000).labels(volume)
    assert roomy.device.endswith("one pass")
    assert tight.device.endswith("tiles")
    assert (roomy.labels == tight.labels).mean() > 0.999


def test_a_network_that_normalises_over_what_it_sees_gets_windows(tmp_path: Path, volume: Volume) -> None:
    package = _package(tmp_path / "tiny", norm="instance", window_voxels=[32, 32, 32])
    found = Segmenter(package, "cpu").labels(volume)
    assert found.device.endswith("windows")
    assert found.labels.shape == volume.voxels.shape


def test_padding_is_never_labelled(tmp_path: Path, volume: Volume) -> None:
    segmenter = Segmenter(_package(tmp_path / "tiny"), "cpu")
    where = segmenter.labels(volume).labels > 0
    assert where.any()
    padded = Volume(**{name: getattr(volume, name) for name in volume.__dataclass_fields__ if name != "padded"}, padded=where)
    assert not segmenter.labels(padded).labels.any()


def test_chained_comparison_is_argmax() -> None:
    values = torch.randn(5, 7, 8, 9, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    assert torch.equal(chained_argmax(values).long(), values.argmax(0))


def test_the_memory_of_a_network_is_that_of_its_widest_layers() -> None:
    network = nn.Sequential(nn.Conv3d(1, 8, 1), nn.Conv3d(8, 24, 1), nn.Conv3d(24, 2, 1)).eval()
    found = activation_bytes_per_voxel(network, 1, torch.device("cpu"))
    assert found == pytest.approx(WORKSPACE * 4 * (8 + 24) + 4, rel=0.01)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_gpu_draws_what_the_processor_draws(tmp_path: Path, volume: Volume) -> None:
    package = _package(tmp_path / "tiny")
    on_cpu, on_gpu = (Segmenter(package, device).labels(volume) for device in ("cpu", "cuda"))
    assert not on_gpu.device.startswith("CPU")
    assert (on_cpu.labels == on_gpu.labels).mean() > 0.99


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_full_gpu_means_smaller_tiles_then_the_processor(tmp_path: Path, volume: Volume) -> None:
    segmenter = Segmenter(_package(tmp_path / "tiny", spacing_mm=[0.8, 0.8, 0.8]), "cuda")
    expected = segmenter.labels(volume).labels
    torch.cuda.set_per_process_memory_fraction(0.001)
    try:
        found = segmenter.labels(volume)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert found.device.endswith(("tiles", "after the GPU ran out of memory"))
    assert (found.labels == expected).mean() > 0.99
