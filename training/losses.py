"""What a network is punished for: a weighted sum of cross entropy, soft Dice and focal loss."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from monai.losses.focal_loss import FocalLoss
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits [batch, class, ...] and labels [batch, ...] to one number."""


@dataclass(frozen=True, slots=True)
class LossChoice:
    """The terms of the sum, each with its weight; 0 leaves a term out.

    Attributes:
        class_weights: of each class, background first, in cross entropy and focal loss; empty for equal weights.
        focal_gamma: how much less an easy voxel counts. Source: Lin et al., ICCV 2017.
        label_smoothing: share of the truth that is spread over all classes, in the cross entropy.
        present_only: soft Dice over the classes that the batch holds; a rare one otherwise mostly pulls towards finding none.
    """

    cross_entropy: float = 1.0
    dice: float = 1.0
    focal: float = 0.0
    class_weights: tuple[float, ...] = ()
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    present_only: bool = False

    def __post_init__(self) -> None:
        """Refuse a sum of nothing."""
        if not self.cross_entropy + self.dice + self.focal > 0 or min(self.cross_entropy, self.dice, self.focal) < 0:
            raise ValueError("the loss needs at least one of cross_entropy, dice and focal above 0, and none below")


def make_loss(choice: LossChoice) -> Loss:
    """The chosen sum as one function."""

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        weights = torch.tensor(choice.class_weights, device=logits.device) if choice.class_weights else None
        total = logits.new_zeros(())
        if choice.cross_entropy:
            total = total + choice.cross_entropy * functional.cross_entropy(
                logits, labels, weights, label_smoothing=choice.label_smoothing
            )
        if choice.dice:
            total = total + choice.dice * (1 - _mean_dice(logits, labels, present_only=choice.present_only))
        if choice.focal:
            total = total + choice.focal * focal(logits, labels, choice.focal_gamma, weights)
        return total

    return loss


def soft_dice(
    logits: Float[Tensor, "batch classes *grid"], labels: Int64[Tensor, "batch *grid"]
) -> Float[Tensor, "foreground"]:
    """The Dice coefficient of each foreground class with probabilities for voxels, over the whole batch.

    Over the batch, not per image: a patch without the structure then adds no noise of its own.
    """
    probabilities = logits.softmax(1)
    truth = functional.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    axes = [0, *range(2, logits.ndim)]
    overlap = (probabilities * truth).sum(axes)
    total = (probabilities + truth).sum(axes)
    return ((2 * overlap + 1) / (total + 1))[1:]


def _mean_dice(logits: Tensor, labels: Tensor, *, present_only: bool) -> Tensor:
    """Over the foreground classes; over all of them where the batch holds none."""
    of_class = soft_dice(logits, labels)
    present = torch.bincount(labels.flatten(), minlength=logits.shape[1])[1:] > 0
    return of_class[present].mean() if present_only and bool(present.any()) else of_class.mean()


def focal(logits: Tensor, labels: Tensor, gamma: float, weights: Tensor | None) -> Tensor:
    """Cross entropy in which what is already right counts little."""
    compute = FocalLoss(include_background=True, to_onehot_y=True, use_softmax=True, gamma=gamma, weight=weights)
    # MONAI averages over classes too; the sum over classes is cross entropy at gamma 0.
    return compute(logits, labels[:, None]) * logits.shape[1]  # type: ignore[no-any-return]


def inverse_frequency(counts: tuple[int, ...]) -> tuple[float, ...]:
    """Class weights that let each class count the same whatever its share; their mean over the samples is 1.

    Raises:
        ValueError: a class has no sample.
    """
    if not counts or min(counts) <= 0:
        raise ValueError(f"each class needs at least one sample to be weighted, there are {counts}")
    total, classes = sum(counts), len(counts)
    return tuple(total / (classes * count) for count in counts)
