"""The metadata of a segmentation network's package, as a MONAI bundle names it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.models import Intensity

STRIDE = 16


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is to be told of a model.

    Attributes:
        task: in one sentence.
        data_source: what it was trained on, and under which licence.
        labels: of the output channels, background first.
        channels: of the input.
        context_voxels: how far from a voxel the network looks.
    """

    name: str
    version: str
    task: str
    data_source: str
    modality: str
    network: Mapping[str, Any]
    spacing_mm: tuple[float, float, float]
    intensity: Intensity
    labels: Sequence[str]
    context_voxels: int
    channels: Sequence[str] = ("image",)


def bundle_metadata(facts: ModelFacts) -> dict[str, Any]:
    """metadata.json without the versions of the libraries, which the export adds."""
    low, high = ((bound - facts.intensity.subtract) / facts.intensity.divide for bound in facts.intensity.clip)
    image = {"format": "hounsfield" if facts.modality == "CT" else "magnitude", "modality": facts.modality}
    return {
        "name": facts.name,
        "version": facts.version,
        "task": facts.task,
        "authors": "dicom-node",
        "copyright": "Apache-2.0",
        "intended_use": "Research; not for diagnosis",
        "data_source": facts.data_source,
        "modality": facts.modality,
        "network_def": dict(facts.network),
        "network_data_format": {
            "inputs": {"image": _tensor(facts.channels, (low, high), image)},
            "outputs": {"pred": _tensor(facts.labels, (0, len(facts.labels) - 1), {"format": "segmentation"})},
        },
        "orientation": "SPL",
        "spacing_mm": list(facts.spacing_mm),
        "intensity": facts.intensity.model_dump(mode="json"),
        "context_voxels": facts.context_voxels,
        "labels": list(facts.labels),
    }


def _tensor(names: Sequence[str], values: tuple[float, float], more: Mapping[str, str]) -> dict[str, Any]:
    """Source: MONAI bundle specification, network_data_format."""
    return {
        "type": "image",
        **more,
        "num_channels": len(names),
        "spatial_shape": [f"{STRIDE}*n"] * 3,
        "dtype": "float32",
        "value_range": [round(float(bound), 2) for bound in values],
        "is_patch_data": False,
        "channel_def": {str(index): name for index, name in enumerate(names)},
    }
