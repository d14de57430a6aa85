"""A package's network in memory: what every engine runs, within the memory it may take."""

import math
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor

from engine.api import Context
from engine.models import Metadata, ModelPackage, load_package
from engine.networks.folding import fold_batch_norm
from engine.networks.memory import PROBE, activation_bytes_per_voxel
from engine.sliding_window import Prediction, Reduce, choose_device, choose_precision, needs_windows, predict, predict_windows

CPU_MEMORY_BYTES = 4_000_000_000
"""For the processor where the configuration sets no limit."""
GPU_MEMORY_SHARE = 0.8
"""Of what is free on a GPU."""
DEFAULT_WINDOW = (96, 96, 96)


class WarmNetwork:
    """A network on its device, batch normalisation folded, ready for one volume after the other.

    One pass or halo tiles for networks with a bounded view, Gaussian windows for those that normalise over all they see.

    Attributes:
        device: where it runs first.
        ran_on: where it ran last, in words.
    """

    def __init__(self, package: ModelPackage, device: torch.device, memory_limit_bytes: int | None = None) -> None:
        """Load the weights.

        Args:
            package: of a network in three dimensions.
            device: as engine.sliding_window.choose_device gives it.
            memory_limit_bytes: what one volume may take on the network's grid; None for 4 GB on a processor, and on a GPU for
                most of what is free.

        Raises:
            engine.models.ModelPackageError: the weights do not fit the network.
        """
        self.package = package
        self.device = device
        self.ran_on = str(device)
        network = package.network(device)
        channels = int(next(network.parameters()).shape[1])
        example = torch.randn(1, channels, PROBE, PROBE, PROBE, generator=torch.Generator().manual_seed(0)).to(device)
        self._network = fold_batch_norm(network, example)
        self._limit_bytes = memory_limit_bytes
        self._windows = needs_windows(self._network)
        self._pass_bytes = (
            0.0 if self._windows else activation_bytes_per_voxel(self._network, channels, device, choose_precision(device))
        )

    @classmethod
    def open(cls, folder: Path, context: Context) -> "WarmNetwork":
        """The network of a package, as an engine's context wants it to run.

        Raises:
            engine.models.ModelPackageError: the package is damaged or changed.
        """
        return cls(load_package(folder), choose_device(context.device), context.memory_limit_bytes)

    @property
    def metadata(self) -> Metadata:
        return self.package.metadata

    def of_values(
        self, values: Float32[Tensor, "slices rows columns"], outside: float
    ) -> Float32[Tensor, "classes slices rows columns"]:
        """Logits of an image in its own unit, such as HU.

        Args:
            values: on the network's grid.
            outside: value beyond the image (air).
        """
        intensity = self.metadata.intensity
        return self.predict(intensity(values), outside=float(intensity(torch.tensor(outside)))).logits

    def predict(
        self,
        image: Float32[Tensor, "*channels slices rows columns"],
        *,
        outside: float,
        reduce: Reduce | None = None,
        keep: torch.device | None = None,
    ) -> Prediction:
        """As engine.sliding_window.predict, of an image whose intensities are those that the network was trained on."""
        if self._windows:
            window = self.metadata.window_voxels or DEFAULT_WINDOW
            prediction = predict_windows(
                self._network, image, outside=outside, window=window, device=self.device, reduce=reduce
            )
        else:
            prediction = predict(
                self._network,
                image,
                outside=outside,
                context=self.metadata.context_voxels,
                device=self.device,
                voxels_per_pass=self._voxels_per_pass(image.numel()),
                reduce=reduce,
                keep=keep,
            )
        self.ran_on = prediction.device
        return prediction

    def _voxels_per_pass(self, voxels: int) -> int:
        """What the limit leaves for one pass, after the network's input, its padded copy and its output."""
        limit = self._limit_bytes
        if limit is None:
            free = torch.cuda.mem_get_info(self.device)[0] * GPU_MEMORY_SHARE if self.device.type == "cuda" else 0
            limit = int(free) or CPU_MEMORY_BYTES
        kept = 1 if len(self.metadata.labels) == 2 else len(self.metadata.labels)
        return max(1, math.floor((limit - 4 * voxels * (2 + kept)) / self._pass_bytes))
