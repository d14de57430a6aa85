"""From the voxels of a series to a label map by any segmentation package: resample, network, back; on one device.

No volume of floating-point numbers exists at the source's resolution: it is read as int16, sampled to the network's grid, and
what the network says comes back slab by slab.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from engine.api import Progress
from engine.clock import Clock
from engine.models import Metadata, ModelPackage, load_package
from engine.resampling import CanonicalGrid, box_to_source, canonical_grid, to_canonical
from engine.sliding_window import Prediction, Reduce, choose_device
from engine.volume import Volume
from engine.warm_network import WarmNetwork

_ANCHORS: dict[str, Literal["centre", "corner"]] = {"SPL": "centre", "RAS": "corner"}


@dataclass(frozen=True)
class LabelMap:
    """The index of a label for each voxel of the source.

    Attributes:
        device: where it was computed, in words.
        timings_s: seconds per step.
    """

    labels: UInt8[np.ndarray, "slices rows columns"]
    device: str
    timings_s: dict[str, float]


class Segmenter:
    """A package with its network in memory, ready for one volume after the other."""

    def __init__(self, package: ModelPackage | Path, device: str = "auto", memory_limit_bytes: int | None = None) -> None:
        """Load the weights.

        Args:
            package: or its folder.
            device: "auto", "cpu" or "cuda[:n]"; "auto" takes CUDA where there is a GPU.
            memory_limit_bytes: what one volume may take beside itself, its label map and the weights; None for 4 GB on a
                processor, and on a GPU for most of what is free.

        Raises:
            engine.models.ModelPackageError: the package is damaged or changed.
        """
        opened = package if isinstance(package, ModelPackage) else load_package(package, ("SPL", "RAS"))
        self._network = WarmNetwork(opened, choose_device(device), memory_limit_bytes)

    @property
    def metadata(self) -> Metadata:
        return self._network.metadata

    @property
    def ran_on(self) -> str:
        """Where the network ran last, in words."""
        return self._network.ran_on

    def labels(self, volume: Volume, progress: Progress = lambda step, share: None) -> LabelMap:
        """The label of each voxel of the volume; 0 where the source held padding."""
        clock = Clock()
        grid, image = self._sample(volume, progress)
        clock.lap("resample")
        network_input = self.metadata.intensity(image)
        del image
        prediction = self._run(network_input, progress)
        del network_input
        clock.lap("network")
        try:
            labels = self._draw(prediction.logits, grid, volume, progress)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            labels = self._draw(prediction.logits.cpu(), grid, volume, progress)
        if volume.padded is not None:
            labels[volume.padded] = 0
        clock.lap("back")
        return LabelMap(labels, prediction.device, clock.timings_s)

    def _draw(
        self,
        logits: Float32[Tensor, "classes slices rows columns"],
        grid: CanonicalGrid,
        volume: Volume,
        progress: Progress,
    ) -> UInt8[np.ndarray, "slices rows columns"]:
        labels = torch.zeros(volume.voxels.shape, dtype=torch.uint8, device=logits.device)
        for part, values in box_to_source(logits, grid, volume, foreground_box(logits), sampling=self.metadata.sampling):
            labels[part] = values[0] > 0 if len(values) == 1 else chained_argmax(values)
            progress("labels", 0.7 + 0.3 * part[0].stop / len(labels))
        return labels.cpu().numpy()

    def _sample(self, volume: Volume, progress: Progress) -> tuple[CanonicalGrid, Float32[Tensor, "slices rows columns"]]:
        metadata = self.metadata
        progress("resample", 0.0)
        grid = canonical_grid(volume, metadata.spacing_mm, anchor=_ANCHORS[metadata.orientation])
        outside = metadata.intensity.clip[0]
        try:
            image = to_canonical(volume, grid, outside, sampling=metadata.sampling, device=self._network.device)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            image = to_canonical(volume, grid, outside, sampling=metadata.sampling)
        return grid, image

    def _run(self, image: Float32[Tensor, "slices rows columns"], progress: Progress) -> Prediction:
        metadata = self.metadata
        progress("network", 0.1)
        turned = image.flip(1, 2).permute(2, 1, 0) if metadata.orientation == "RAS" else image
        outside = float(metadata.intensity(torch.tensor(metadata.intensity.clip[0])))
        prediction = self._network.predict(turned, outside=outside, reduce=self._reduction(), keep=self._network.device)
        progress("labels", 0.7)
        if metadata.orientation == "RAS":
            return Prediction(prediction.logits.permute(0, 3, 2, 1).flip(2, 3).contiguous(), prediction.device)
        return prediction

    def _reduction(self) -> Reduce | None:
        """Two classes are told apart by one number, whose sign decides."""
        metadata = self.metadata
        if len(metadata.labels) == 2:
            return _share_margin if metadata.interpolated == "probabilities" else _margin
        return _softmax if metadata.interpolated == "probabilities" else None


def foreground_box(logits: Float32[Tensor, "classes slices rows columns"]) -> tuple[slice, slice, slice]:
    """The smallest box with every voxel in which a foreground class wins; no label but the background can lie beyond it.

    Between voxels that the background wins no interpolation lets another class win.
    """
    foreground = logits[0] > 0 if len(logits) == 1 else logits[1:].amax(0) > logits[0]
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        where = foreground.any(others[1]).any(others[0]).nonzero()
        box.append(slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0))
    return box[0], box[1], box[2]


def chained_argmax(values: Float32[Tensor, "classes *grid"]) -> UInt8[Tensor, "*grid"]:
    """The index of the largest along the first axis, the first of equals; several times faster than argmax there."""
    largest = values[0].clone()
    index = torch.zeros(largest.shape, dtype=torch.uint8, device=values.device)
    for number in range(1, len(values)):
        index.masked_fill_(values[number] > largest, number)
        torch.maximum(largest, values[number], out=largest)
    return index


def _margin(logits: Float32[Tensor, "classes *grid"]) -> Float32[Tensor, "1 *grid"]:
    """Above 0 where the foreground wins; a single logit is that already."""
    return logits if len(logits) == 1 else logits[1:] - logits[:1]


def _share_margin(logits: Float32[Tensor, "classes *grid"]) -> Float32[Tensor, "1 *grid"]:
    """Probability of the foreground less that of the background."""
    return (_margin(logits) / 2).tanh()


def _softmax(logits: Float32[Tensor, "classes *grid"]) -> Float32[Tensor, "classes *grid"]:
    return logits.softmax(0)
