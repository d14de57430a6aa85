"""The two ways from a CT to its mask that bench.inference compares, and the network by itself. Each runs in its own process."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.bundle.config_parser import ConfigParser
from torch import nn

from bench.inference_network import CLIP_HU, NETWORK, SPACING_MM, trained_network
from engine import sliding_window
from engine.models import Intensity
from engine.runtime import Segmenter
from engine.volume import SliceReference, Volume
from training.export import write_package
from training.phantoms.thorax import thorax

SHAPE, VOXEL_MM = (300, 512, 512), (1.0, 0.7, 0.7)
GRID = (208, 240, 240)
"""What the network sees in one pass: the volume at 1.5 mm, padded."""
BUNDLE: dict[str, Any] = {
    "network": NETWORK,
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "labels": None},
            {"_target_": "Spacingd", "keys": "image", "pixdim": list(SPACING_MM), "mode": "bilinear"},
            {
                "_target_": "ScaleIntensityRanged",
                "keys": "image",
                "a_min": CLIP_HU[0],
                "a_max": CLIP_HU[1],
                "b_min": 0,
                "b_max": 1,
                "clip": True,
            },
            {"_target_": "EnsureTyped", "keys": "image"},
        ],
    },
    "inferer": {
        "_target_": "SlidingWindowInferer",
        "roi_size": [96, 96, 96],
        "sw_batch_size": 4,
        "overlap": 0.5,
        "mode": "gaussian",
    },
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {
                "_target_": "Invertd",
                "keys": "pred",
                "transform": "@preprocessing",
                "orig_keys": "image",
                "nearest_interp": False,
                "to_tensor": True,
            },
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        ],
    },
}


@dataclass
class Measured:
    """CPU seconds per step."""

    steps_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.steps_s[name] = self.steps_s.get(name, 0.0) + time.process_time() - started


def prepare(folder: Path) -> None:
    """Make what is missing: the weights, our package of them, the CT as an array and as NIfTI."""
    folder.mkdir(parents=True, exist_ok=True)
    network = trained_network(folder / "network.pt")
    metadata = {
        "name": "bench",
        "version": "1.0.0",
        "authors": "dicom-node",
        "network_def": NETWORK,
        "spacing_mm": SPACING_MM,
        "orientation": "RAS",
        "modality": "CT",
        "intensity": Intensity(clip=CLIP_HU, subtract=CLIP_HU[0], divide=CLIP_HU[1] - CLIP_HU[0]).model_dump(mode="json"),
        "context_voxels": 96,
        "labels": ["background", "lungs"],
        "sampling": "linear",
        "interpolated": "probabilities",
    }
    write_package(folder / "package", network, metadata, "The benchmark's network.\n")
    if not (folder / "ct.nii").exists():
        _write_ct(folder)


def _write_ct(folder: Path) -> None:
    """A thorax phantom of half the resolution, doubled, with noise."""
    half = thorax(7, (2 * VOXEL_MM[0], 2 * VOXEL_MM[1], 2 * VOXEL_MM[2]), (150, 256, 256), healthy=True)
    large = nn.functional.interpolate(torch.from_numpy(half.hu)[None, None].float(), SHAPE, mode="trilinear")[0, 0]
    noisy = large + 20 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    voxels = noisy.clamp(-1024, 3071).round().to(torch.int16).numpy()
    np.save(folder / "ct.npy", voxels)
    affine = np.diag([-VOXEL_MM[2], -VOXEL_MM[1], VOXEL_MM[0], 1.0])
    image = nibabel.Nifti1Image(voxels.transpose(2, 1, 0), affine)  # type: ignore[no-untyped-call]
    nibabel.save(image, folder / "ct.nii")


def run_bundle(folder: Path, measured: Measured, *, windows: bool = True) -> np.ndarray:
    """MONAI's way, transform by transform as its Compose calls them; `windows` or one pass of the network."""
    parser = ConfigParser(BUNDLE)
    parts = {key: parser.get_parsed_content(key) for key in ("network", "preprocessing", "inferer", "postprocessing")}
    network: nn.Module = parts["network"].eval()
    network.load_state_dict(torch.load(folder / "network.pt", weights_only=True))
    infer: Callable[..., torch.Tensor] = parts["inferer"] if windows else _one_pass
    with torch.inference_mode():
        network(torch.zeros(1, 1, 96, 96, 96))
        data: Any = {"image": folder / "ct.nii"}
        for transform in parts["preprocessing"].transforms:
            with measured.step(_MONAI_STEPS[type(transform).__name__]):
                data = transform(data)
        with measured.step("network"):
            data["pred"] = infer(data["image"][None], network)[0]
        for transform in parts["postprocessing"].transforms:
            with measured.step(_MONAI_STEPS[type(transform).__name__]):
                data = transform(data)
    return np.asarray(data["pred"][0].numpy().transpose(2, 1, 0) > 0)


_MONAI_STEPS = {
    "LoadImaged": "load",
    "EnsureChannelFirstd": "load",
    "Orientationd": "resample",
    "Spacingd": "resample",
    "ScaleIntensityRanged": "resample",
    "EnsureTyped": "resample",
    "Activationsd": "back",
    "Invertd": "back",
    "AsDiscreted": "back",
}


def _one_pass(image: torch.Tensor, network: nn.Module) -> torch.Tensor:
    shape = image.shape[2:]
    padding = [amount for size in reversed(shape) for amount in (0, -size % 16)]
    logits: torch.Tensor = network(nn.functional.pad(image, padding))
    return logits[:, :, : shape[0], : shape[1], : shape[2]]


def run_ours(folder: Path, measured: Measured, *, precision: torch.dtype | None = None) -> np.ndarray:
    """engine.runtime, warm; `precision` instead of what the processor multiplies fastest."""
    if precision is not None:
        sliding_window.choose_precision = lambda device: precision
    segmenter = Segmenter(folder / "package", "cpu")
    with measured.step("load"):
        voxels = np.load(folder / "ct.npy")
    volume = Volume(
        voxels=voxels,
        positions_mm=np.array([[0.0, 0.0, index * VOXEL_MM[0]] for index in range(SHAPE[0])]),
        row_direction=np.array([1.0, 0.0, 0.0]),
        column_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=VOXEL_MM[1:],
        slice_thickness_mm=VOXEL_MM[0],
        modality="CT",
        slices=tuple(SliceReference(f"2.25.{index}") for index in range(SHAPE[0])),
    )
    laps = {"resample": "resample", "network": "network", "labels": "back"}
    started = [("", time.process_time())]

    def lap(step: str, _share: float | None) -> None:
        name, now = laps[step], time.process_time()
        before, since = started[-1]
        if name != before:
            measured.steps_s[before] = now - since
            started.append((name, now))

    found = segmenter.labels(volume, lap)
    name, since = started[-1]
    measured.steps_s[name] = time.process_time() - since
    measured.steps_s.pop("", None)
    return found.labels > 0


def run_network(folder: Path, measured: Measured) -> None:
    """The network by itself: one pass over what it sees in ours, in the same precision."""
    network = trained_network(folder / "network.pt")
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    precision = sliding_window.choose_precision(torch.device("cpu"))
    image = torch.randn(1, 1, *GRID).contiguous(memory_format=torch.channels_last_3d)
    with torch.inference_mode(), torch.autocast("cpu", precision, enabled=precision is not torch.float32):
        network(image[..., :96, :96, :96])
        with measured.step("network"):
            network(image)


PIPELINES: dict[str, Callable[[Path, Measured], np.ndarray | None]] = {
    "monai": run_bundle,
    "ours": run_ours,
    "network": run_network,
    "monai, one pass": lambda folder, measured: run_bundle(folder, measured, windows=False),
    "ours, float32": lambda folder, measured: run_ours(folder, measured, precision=torch.float32),
}


def run_pipeline(name: str, folder: Path) -> dict[str, Any]:
    """Run one in this process; seconds and peak memory. Its mask is kept in the folder."""
    torch.set_num_threads(1)
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    measured, started = Measured(), time.perf_counter()
    mask = PIPELINES[name](folder, measured)
    if mask is not None:
        np.save(folder / f"{name}.npy", np.packbits(mask))
    return {
        "steps_cpu_s": measured.steps_s,
        "process_wall_s": time.perf_counter() - started,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "imported_mb": imported / 1024,
    }
