"""Model packages: a directory in the shape of a MONAI bundle whose every file is hashed.

configs/metadata.json      what the model is: name, version, network, grid, intensities, labels
models/model.safetensors   the weights
docs/README.md, LICENSE    model card and licence
SHA256SUMS                 the hash of every other file, as `sha256sum` writes it
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.networks.build import build_network

METADATA_FILE = "configs/metadata.json"
WEIGHTS_FILE = "models/model.safetensors"
SUMS_FILE = "SHA256SUMS"
_REMEDY = "install the package again from its source, or train it anew"


class ModelPackageError(ValueError):
    """A model package that is damaged, changed or incomplete; the message names the file and the remedy."""


class Intensity(BaseModel):
    """From the unit of the image (HU) to the input of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clip: tuple[float, float]
    subtract: float
    divide: float = Field(gt=0)

    def __call__(self, values: Tensor) -> Tensor:
        return (values.clamp(*self.clip) - self.subtract) / self.divide


class Metadata(BaseModel):
    """The part of metadata.json that decides the output; MONAI's other keys may stand beside it.

    Attributes:
        network_def: `_target_` and arguments of the network.
        spacing_mm: (slice, row, column) of the network's grid.
        orientation: of that grid's index axes; the only one known says slices to the head, rows posterior, columns left.
        context_voxels: how far from a voxel the network looks, at least; the halo of tiles.
        labels: name of each output channel, background first.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    version: str
    authors: str
    network_def: dict[str, Any]
    spacing_mm: tuple[float, float, float]
    orientation: str = Field(pattern="^SPL$")
    modality: str
    intensity: Intensity
    context_voxels: int = Field(gt=0)
    labels: tuple[str, ...]


@dataclass(frozen=True)
class ModelPackage:
    """A package whose files are what its SHA256SUMS says.

    Attributes:
        weights_digest: SHA-256 of the weights file in hex.
    """

    path: Path
    metadata: Metadata
    weights_digest: str

    def network(self, device: torch.device | str = "cpu") -> nn.Module:
        """The network with its weights in float32, ready to infer; safetensors hold numbers only, so nothing is unpickled.

        Raises:
            ModelPackageError: the weights do not fit the network of metadata.json.
        """
        network = build_network(self.metadata.network_def)
        try:
            _fill(network, load_file(self.path / WEIGHTS_FILE))
        except (SafetensorError, RuntimeError, KeyError) as error:
            raise ModelPackageError(f"{self.path / WEIGHTS_FILE} does not fit {METADATA_FILE}: {error}; {_REMEDY}") from error
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        return network.to(device).eval()


def load_package(path: Path) -> ModelPackage:
    """Check every file against SHA256SUMS and read the metadata.

    Raises:
        ModelPackageError: a file is missing, changed or not listed, or the metadata is not valid.
    """
    sums = _read_sums(path)
    present = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()} - {SUMS_FILE}
    for name in sorted(present - sums.keys()):
        raise ModelPackageError(f"{path / name} is not listed in {SUMS_FILE}: remove it, or {_REMEDY}")
    for name in (METADATA_FILE, WEIGHTS_FILE):
        if name not in sums:
            raise ModelPackageError(f"{path / SUMS_FILE} does not list {name}; {_REMEDY}")
    for name, expected in sums.items():
        _require_same(path / name, expected)
    return ModelPackage(path, _read_metadata(path / METADATA_FILE), sums[WEIGHTS_FILE])


def write_sums(path: Path) -> None:
    """Write SHA256SUMS over every file of a package."""
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    lines = [f"{_sha256(path / name)}  {name}\n" for name in files if name != SUMS_FILE]
    (path / SUMS_FILE).write_text("".join(lines), encoding="ascii")


def _read_sums(path: Path) -> dict[str, str]:
    file = path / SUMS_FILE
    if not file.is_file():
        raise ModelPackageError(f"{file} is missing; {_REMEDY}")
    sums = {}
    for number, line in enumerate(file.read_text(encoding="ascii", errors="replace").splitlines(), start=1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or ".." in Path(name).parts or Path(name).is_absolute():
            raise ModelPackageError(f"{file}, line {number} is not 'hash  file'; {_REMEDY}")
        sums[name] = digest
    return sums


def _require_same(file: Path, expected: str) -> None:
    if not file.is_file():
        raise ModelPackageError(f"{file} is missing; {_REMEDY}")
    found = _sha256(file)
    if found != expected:
        raise ModelPackageError(
            f"{file} was changed: its SHA-256 is {found[:12]}..., {SUMS_FILE} says {expected[:12]}...; {_REMEDY}"
        )


def _read_metadata(file: Path) -> Metadata:
    try:
        return Metadata.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ModelPackageError(f"{file} is not valid: {error}; {_REMEDY}") from error


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def own_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, each under the first of its names (a DynUNet holds its blocks twice)."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _fill(network: nn.Module, weights: dict[str, Tensor]) -> None:
    own = own_tensors(network)
    if own.keys() != weights.keys():
        raise KeyError(f"{len(own.keys() ^ weights.keys())} tensors are missing or unknown")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(weights[name])
