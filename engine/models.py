"""Model packages: a directory in the shape of a MONAI bundle whose every file is hashed.

configs/metadata.json      what the model is: name, version, network, grid, intensities, labels
models/model.safetensors   the weights
docs/README.md, LICENSE    model card and licence
SHA256SUMS                 the hash of every other file, as `sha256sum` writes it

Two forms: networks for volumes (`Metadata`, `load_package`) and classifiers of projection images (`ImageMetadata`,
`load_image_package`). An engine with several networks keeps each in a package of its own, side by side or one within the other.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.findings import Algorithm
from engine.networks.build import build_network

METADATA_FILE = "configs/metadata.json"
WEIGHTS_FILE = "models/model.safetensors"
SUMS_FILE = "SHA256SUMS"
_Form = TypeVar("_Form", bound=BaseModel)
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
        orientation: of that grid's index axes: "SPL": slices to the head, rows posterior, columns left. "RAS": as MONAI's
            bundles have it, the first index to the right, the second to the front, the third to the head.
        sampling: how its values are made, as in engine.resampling.
        context_voxels: how far from a voxel the network looks, at least; the halo of tiles.
        window_voxels: what the network must see at a time, for those that normalise over all they see (instance, group).
        interpolated: what comes back to the source's grid before the largest is taken.
        labels: name of each output channel, background first.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    version: str
    authors: str
    network_def: dict[str, Any]
    spacing_mm: tuple[float, float, float]
    orientation: Literal["SPL", "RAS"]
    sampling: Literal["mean", "linear"] = "mean"
    modality: str
    intensity: Intensity
    context_voxels: int = Field(gt=0)
    window_voxels: tuple[int, int, int] | None = None
    interpolated: Literal["logits", "probabilities"] = "logits"
    labels: tuple[str, ...]


class ImageIntensity(BaseModel):
    """From the pixels of a projection image to the input of the network.

    Attributes:
        range: what becomes 0 and 1: the "window" of the image, or its 1st and 99th "percentiles".
        subtract, divide: applied after that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    range: Literal["window", "percentiles"]
    subtract: float
    divide: float = Field(gt=0)

    def __call__(self, values: Tensor, window: tuple[float, float]) -> Tensor:
        low, high = window
        if self.range == "percentiles":
            low, high = (float(bound) for bound in np.percentile(values.numpy(), (1, 99)))
        return (((values - low) / max(high - low, 1e-6)).clamp(0, 1) - self.subtract) / self.divide


class ImageClass(BaseModel):
    """One answer of a classifier.

    Attributes:
        code: as in PS3.3 section 8: Code Value, Coding Scheme Designator, Code Meaning.
        normal: whether it says that nothing was found: there is then nothing to explain.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    code: tuple[str, str, str]
    normal: bool = False


class ImageMetadata(BaseModel):
    """The part of a projection classifier's metadata.json that decides the output.

    Attributes:
        network_def: `_target_` and arguments of a network in two dimensions, [batch, channels, rows, columns] to logits.
        modalities: values of Modality that it was made for.
        view_positions: values of View Position that it was made for; empty if any.
        image_size: rows, columns of the network's input; the image is scaled into it, its aspect kept.
        minimum_size: rows, columns below which an image shows too little.
        maximum_aspect: of the longer to the shorter side.
        labels: one for each logit.
        activation: "softmax" for classes that exclude each other, "sigmoid" for findings that do not.
        threshold: probability from which a finding counts as present ("sigmoid" only).
        explained_layer: name of the layer whose output Grad-CAM weighs.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    version: str
    authors: str
    network_def: dict[str, Any]
    modalities: tuple[str, ...] = Field(min_length=1)
    view_positions: tuple[str, ...] = ()
    image_size: tuple[int, int]
    minimum_size: tuple[int, int] = (64, 64)
    maximum_aspect: float = Field(default=2.0, ge=1)
    intensity: ImageIntensity
    labels: tuple[ImageClass, ...] = Field(min_length=1)
    activation: Literal["softmax", "sigmoid"]
    threshold: float = Field(default=0.5, gt=0, lt=1)
    explained_layer: str


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
        return _network(self.path, self.metadata.network_def).to(device)


@dataclass(frozen=True)
class ImagePackage:
    """A package with a classifier of projection images.

    Attributes:
        weights_digest: SHA-256 of the weights file in hex.
    """

    path: Path
    metadata: ImageMetadata
    weights_digest: str

    def network(self, device: torch.device | str = "cpu") -> nn.Module:
        """As ModelPackage.network.

        Raises:
            ModelPackageError: the weights do not fit the network of metadata.json.
        """
        return _network(self.path, self.metadata.network_def).to(device)


def algorithm_of(package: ModelPackage | ImagePackage, device: str, parameters: str) -> Algorithm:
    """Who computes with this package.

    Args:
        package: whose name, version, authors and weights these are.
        device: where it ran, in words.
        parameters: what else decides the output, in words.
    """
    metadata = package.metadata
    return Algorithm(metadata.name, metadata.version, metadata.authors, package.weights_digest, device, parameters)


def joint_digest(digests: Sequence[str]) -> str:
    """One digest for the weights of several packages: that of their digests in hex, one after the other."""
    return hashlib.sha256("".join(digests).encode("ascii")).hexdigest()


def load_package(path: Path, orientations: tuple[str, ...] = ("SPL",)) -> ModelPackage:
    """Check every file against SHA256SUMS and read the metadata.

    Args:
        path: the package's folder.
        orientations: those that the caller can feed to the network; engine.runtime knows both.

    Raises:
        ModelPackageError: a file is missing, changed or not listed, or the metadata is not valid or not for this caller.
    """
    digest = _check_files(path)
    metadata = _read_metadata(path / METADATA_FILE, Metadata)
    if metadata.orientation not in orientations:
        known = " or ".join(orientations)
        raise ModelPackageError(
            f"{path / METADATA_FILE}: this engine knows the orientation {known}, not {metadata.orientation}"
        )
    return ModelPackage(path, metadata, digest)


def load_image_package(path: Path) -> ImagePackage:
    """As load_package, for a classifier of projection images.

    Raises:
        ModelPackageError: a file is missing, changed or not listed, or the metadata is not valid.
    """
    digest = _check_files(path)
    return ImagePackage(path, _read_metadata(path / METADATA_FILE, ImageMetadata), digest)


def write_sums(path: Path) -> None:
    """Write SHA256SUMS over every file of a package."""
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    lines = [f"{_sha256(path / name)}  {name}\n" for name in files if name != SUMS_FILE]
    (path / SUMS_FILE).write_text("".join(lines), encoding="ascii")


def _network(path: Path, definition: dict[str, Any]) -> nn.Module:
    network = build_network(definition)
    try:
        _fill(network, load_file(path / WEIGHTS_FILE))
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise ModelPackageError(f"{path / WEIGHTS_FILE} does not fit {METADATA_FILE}: {error}; {_REMEDY}") from error
    dimensions = max(tensor.ndim for tensor in network.parameters()) - 2
    order = torch.channels_last_3d if dimensions == 3 else torch.channels_last
    network.to(memory_format=order)  # type: ignore[call-overload]
    return network.eval()


def _check_files(path: Path) -> str:
    """Compare every file with SHA256SUMS; the digest of the weights."""
    sums = _read_sums(path)
    present = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()} - {SUMS_FILE}
    for name in sorted(present - sums.keys()):
        raise ModelPackageError(f"{path / name} is not listed in {SUMS_FILE}: remove it, or {_REMEDY}")
    for name in (METADATA_FILE, WEIGHTS_FILE):
        if name not in sums:
            raise ModelPackageError(f"{path / SUMS_FILE} does not list {name}; {_REMEDY}")
    for name, expected in sums.items():
        _require_same(path / name, expected)
    return sums[WEIGHTS_FILE]


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


def _read_metadata(file: Path, form: type[_Form]) -> _Form:
    try:
        return form.model_validate_json(file.read_bytes())
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
