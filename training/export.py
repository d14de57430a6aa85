"""Write a trained network as a model package."""

import json
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from engine.models import (
    METADATA_FILE,
    WEIGHTS_FILE,
    ImageMetadata,
    ImagePackage,
    Metadata,
    ModelPackage,
    load_image_package,
    load_package,
    own_tensors,
    write_sums,
)

LICENSE = Path(__file__).parent.parent / "LICENSE"


def write_package(folder: Path, network: nn.Module, metadata: Mapping[str, Any], card: str) -> ModelPackage:
    """Write (or replace) a package with half-precision weights, and read it back as a check.

    Args:
        folder: the package; replaced if it exists.
        network: trained.
        metadata: as engine.models.Metadata; MONAI's version keys are added.
        card: docs/README.md.
    """
    checked = Metadata.model_validate(metadata)
    _write_files(folder, network, metadata, card)
    package = load_package(folder, (checked.orientation,))
    package.network()
    return package


def write_image_package(folder: Path, network: nn.Module, metadata: Mapping[str, Any], card: str) -> ImagePackage:
    """As write_package, for a classifier of projection images: metadata as engine.models.ImageMetadata."""
    ImageMetadata.model_validate(metadata)
    _write_files(folder, network, metadata, card)
    package = load_image_package(folder)
    package.network()
    return package


def _write_files(folder: Path, network: nn.Module, metadata: Mapping[str, Any], card: str) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    for part in ("configs", "models", "docs"):
        (folder / part).mkdir(parents=True)
    versions = {f"{key}_version": version(package) for key, package in _VERSIONS.items()}
    text = json.dumps({**metadata, **versions}, indent=2) + "\n"
    (folder / METADATA_FILE).write_text(text, encoding="utf-8")
    save_file({name: _half(tensor) for name, tensor in own_tensors(network).items()}, folder / WEIGHTS_FILE)
    (folder / "docs" / "README.md").write_text(card, encoding="utf-8")
    shutil.copyfile(LICENSE, folder / "LICENSE")
    write_sums(folder)


_VERSIONS = {"monai": "monai", "pytorch": "torch", "numpy": "numpy"}


def _half(tensor: Tensor) -> Tensor:
    """Kernels in half precision; statistics of normalisation stay whole, their variance may exceed its range."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
