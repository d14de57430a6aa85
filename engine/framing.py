"""Fit an image of any size into the square that a network takes, and bring what the network says back."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Framing:
    """An image scaled to fit a frame, its aspect kept, in the middle.

    Attributes:
        shape: rows, columns of the image.
        size: rows, columns of the frame.
    """

    shape: tuple[int, int]
    size: tuple[int, int]

    @property
    def scaled(self) -> tuple[int, int]:
        """Rows, columns of the image within the frame."""
        scale = min(wanted / count for wanted, count in zip(self.size, self.shape, strict=True))
        rows, columns = (min(wanted, max(1, round(count * scale))) for wanted, count in zip(self.size, self.shape, strict=True))
        return rows, columns

    @property
    def first(self) -> tuple[int, int]:
        """Row, column of the frame where the image begins."""
        return (self.size[0] - self.scaled[0]) // 2, (self.size[1] - self.scaled[1]) // 2

    def frame(self, image: Float32[Tensor, "rows columns"], around: float) -> Float32[Tensor, "height width"]:
        """The image in its frame, averaged over what a smaller pixel holds; `around` beside it."""
        scaled = functional.interpolate(image[None, None], self.scaled, mode="bilinear", antialias=True)[0, 0]
        frame = torch.full(self.size, around)
        (row, column), (rows, columns) = self.first, self.scaled
        frame[row : row + rows, column : column + columns] = scaled
        return frame

    def unframe(self, frame: Float32[Tensor, "height width"]) -> Float32[Tensor, "rows columns"]:
        """The part of a frame that is the image, at the image's size."""
        (row, column), (rows, columns) = self.first, self.scaled
        part = frame[row : row + rows, column : column + columns]
        return functional.interpolate(part[None, None], self.shape, mode="bilinear", align_corners=False)[0, 0]
