import pytest
import torch

from training.augmentation import AugmentationChoice, make_augmentation
from training.elastic import bend

MOVES = ("affine", "elastic")
LOOKS = ("shift", "contrast", "noise", "blur", "gamma", "bias_field", "low_resolution")


def _pair(axes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright box on a slight ramp, off the middle along every axis."""
    labels = torch.zeros((24,) * axes, dtype=torch.long)
    labels[(slice(4, 14),) * axes] = 1
    return labels[None].float() * 2 - 1 + torch.linspace(0, 0.2, 24), labels


def _always(name: str) -> AugmentationChoice:
    return AugmentationChoice(**{name: 1.0})  # type: ignore[arg-type]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", [*MOVES, *LOOKS])
def test_a_change_is_decided_by_its_generator_and_keeps_the_form(name: str, axes: int) -> None:
    augment = make_augmentation(_always(name), axes)
    image, labels = _pair(axes)
    changed, truth = augment(image, labels, _generator(1))
    assert (changed.shape, changed.dtype, type(changed)) == (image.shape, torch.float32, torch.Tensor)
    assert (truth.shape, truth.dtype, type(truth)) == (labels.shape, torch.long, torch.Tensor)
    assert not torch.equal(changed, image)
    again, other = augment(image, labels, _generator(1))[0], augment(image, labels, _generator(2))[0]
    assert torch.equal(changed, again)
    assert not torch.equal(changed, other)


@pytest.mark.parametrize("name", MOVES)
def test_labels_move_with_their_image(name: str) -> None:
    augment = make_augmentation(_always(name))
    image, labels = _pair()
    changed, truth = augment(image, labels, _generator(3))
    assert not torch.equal(truth, labels)
    assert ((changed[0] > 0) == (truth == 1)).float().mean() > 0.98


@pytest.mark.parametrize("name", LOOKS)
def test_a_change_of_looks_moves_no_label(name: str) -> None:
    augment = make_augmentation(_always(name))
    image, labels = _pair()
    assert torch.equal(augment(image, labels, _generator())[1], labels)


def test_a_flip_mirrors_only_the_axes_it_may() -> None:
    augment = make_augmentation(AugmentationChoice(flip=1.0, flip_axes=(1,)))
    image, labels = _pair()
    changed, truth = augment(image, labels, _generator())
    assert torch.equal(changed, image.flip(2))
    assert torch.equal(truth, labels.flip(1))
    with pytest.raises(ValueError, match="flip needs flip_axes"):
        AugmentationChoice(flip=0.5)


def test_nothing_is_changed_unless_asked() -> None:
    image, labels = _pair()
    changed, truth = make_augmentation(AugmentationChoice())(image, labels, _generator())
    assert torch.equal(changed, image)
    assert torch.equal(truth, labels)


def test_bending_moves_points_as_far_as_asked_and_leaves_the_border() -> None:
    ramp = torch.arange(48.0).view(1, 48, 1, 1).expand(1, 48, 48, 48).contiguous()
    bent, _ = bend(ramp, torch.zeros(48, 48, 48, dtype=torch.long), 3.0, _generator(5))
    moved = (bent - ramp).abs()
    assert 0.3 < float(moved[0, 12:-12, 12:-12, 12:-12].mean()) < 3
    assert float(moved.max()) <= 3.01
    assert float(moved[:, 0].max()) < 1e-4
