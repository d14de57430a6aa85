"""How well a network draws real cases that it was not trained on: the part that a fold leaves out."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engine.sliding_window import predict
from training.evaluate import dice
from training.real_cases import RealCases

FILE = "held_out.json"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Mean Dice of each structure over the held-out cases that have it.

    Attributes:
        cases: how many have the structure.
    """

    dice: dict[str, float]
    cases: dict[str, int]

    def write(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "HeldOut":
        return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))


def measure_segmentation(
    network: nn.Module,
    real: RealCases | None,
    labels: Sequence[str],
    normalise: Callable[[Tensor], Tensor],
    *,
    outside: float,
    context_voxels: int,
) -> HeldOut:
    """Dice of each label over the held-out cases, on the network's grid.

    Args:
        network: trained, with one input channel.
        real: whose `held_out` numbers are measured; None where there are none.
        labels: background first.
        normalise: from the image's unit to the network's input.
        outside: value beyond an image, in its own unit.
        context_voxels: how far from a voxel the network looks.
    """
    found: dict[str, list[float]] = {}
    edge = float(normalise(torch.tensor(outside)))
    device = next(network.parameters()).device
    if real is None:
        return HeldOut({}, {})
    for number in real.held_out:
        image, truth = real.load(number)
        values = normalise(torch.from_numpy(image).float())
        logits = predict(network, values, outside=edge, context=context_voxels, device=device).logits
        drawn = logits.argmax(0).numpy()
        for label, name in enumerate(labels[1:], start=1):
            if (truth == label).any():
                found.setdefault(name, []).append(dice(drawn == label, truth == label))
    scores = {name: float(np.mean(values)) for name, values in found.items()}
    return HeldOut(scores, {name: len(values) for name, values in found.items()})
