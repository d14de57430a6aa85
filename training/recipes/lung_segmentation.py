"""Train the weights of the engine lung-segmentation: `python -m training.recipes.lung_segmentation --output DIR`.

About 35 minutes of one processor core that multiplies bf16 (AMX, avx512_bf16), phantoms included. A killed run continues when
the same command is given again. DIR/lung_segmentation is then the model package.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.api import Context
from engine.catalog.lung_segmentation import LungSegmentation
from engine.models import Intensity, ModelPackage
from engine.networks.build import build_network
from training.cases import Case, CaseStore, PatchSampler
from training.evaluate import lung_score
from training.export import write_package
from training.fit import Schedule, fit
from training.phantoms.thorax import TRAINING_SPACING_MM, thorax

VERSION = "1.0.0"
TRAINING_SEEDS = range(320)
VALIDATION_SEEDS = range(1000, 1024)
PATCH = (96, 96, 96)
SCHEDULE = Schedule(steps=700)
INTENSITY = Intensity(clip=(-1024, 300), subtract=-560.6, divide=463.4)
NETWORK: dict[str, Any] = {
    "_target_": "monai.networks.nets.DynUNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 3,
    "kernel_size": [3] * 5,
    "strides": [1, 2, 2, 2, 2],
    "upsample_kernel_size": [2] * 4,
    "filters": [16, 32, 64, 128, 128],
    "norm_name": "batch",
    "res_block": False,
}
LABELS = ("background", "right lung", "left lung")
METADATA: dict[str, Any] = {
    "name": "dicom-node lung segmentation",
    "version": VERSION,
    "task": "Segmentation of the right and the left lung on CT",
    "authors": "dicom-node",
    "copyright": "Apache-2.0",
    "intended_use": "Research; not for diagnosis",
    "data_source": "Synthetic thorax phantoms of training/phantoms/thorax.py; no patient's image",
    "modality": "CT",
    "network_def": NETWORK,
    "network_data_format": {
        "inputs": {
            "image": {
                "type": "image",
                "format": "hounsfield",
                "modality": "CT",
                "num_channels": 1,
                "spatial_shape": ["16*n", "16*n", "16*n"],
                "dtype": "float32",
                "value_range": [-1.0, 1.86],
                "is_patch_data": False,
                "channel_def": {"0": "image"},
            }
        },
        "outputs": {
            "pred": {
                "type": "image",
                "format": "segmentation",
                "num_channels": 3,
                "spatial_shape": ["16*n", "16*n", "16*n"],
                "dtype": "float32",
                "value_range": [0, 2],
                "is_patch_data": False,
                "channel_def": {str(index): name for index, name in enumerate(LABELS)},
            }
        },
    },
    "orientation": "SPL",
    "spacing_mm": list(TRAINING_SPACING_MM),
    "intensity": INTENSITY.model_dump(mode="json"),
    "context_voxels": 96,
    "labels": list(LABELS),
}
CARD = Path(__file__).with_name("lung_segmentation_card.md")


def make_case(seed: int) -> Case:
    phantom = thorax(seed)
    return phantom.hu, phantom.labels


def train(run: Path) -> nn.Module:
    """The trained network; phantoms and checkpoint are kept in the run's folder."""
    torch.set_num_threads(1)
    torch.manual_seed(SCHEDULE.seed)
    network = build_network(NETWORK)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    sample = PatchSampler(CaseStore(run / "phantoms", make_case), TRAINING_SEEDS, PATCH, INTENSITY)
    return fit(network, sample, SCHEDULE, run / "checkpoint.pt")


def export(network: nn.Module, run: Path) -> ModelPackage:
    """The package with its card; the score on the validation phantoms is that of the whole engine."""
    folder = run / "lung_segmentation"
    card = CARD.read_text(encoding="utf-8")
    write_package(folder, network, METADATA, card)
    score = lung_score(LungSegmentation(Context(device="cpu", options={"package": str(folder)})), VALIDATION_SEEDS)
    filled = card.format(version=VERSION, phantoms=len(TRAINING_SEEDS), cases=len(VALIDATION_SEEDS), score=score)
    return write_package(folder, network, METADATA, filled)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for phantoms, checkpoint and package")
    arguments = parser.parse_args()
    package = export(train(arguments.output), arguments.output)
    print(f"{package.path}: weights {package.weights_digest}")
