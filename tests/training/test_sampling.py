import numpy as np
import torch

from training.augmentation import AugmentationChoice, make_augmentation
from training.cases import Case
from training.sampling import Mixture, PatchBatches, PatchChoice, Pool, cut, foreground_voxel

UNCHANGED = make_augmentation(AugmentationChoice())
HU = -1024.0


def _case(number: int) -> Case:
    """A rare class of eight voxels and one of a single voxel."""
    labels = np.zeros((20, 24, 28), np.uint8)
    labels[2:4, 2:4, 2:4], labels[15, 20, 20] = 1, 2
    return np.full(labels.shape, number, np.int16), labels


def _batches(foreground: float, size: tuple[int, int, int] = (4, 4, 4), batch: int = 40) -> PatchBatches:
    choice = PatchChoice(size, batch, foreground)
    return PatchBatches(Pool(_case, range(3)), choice, lambda values: values / 10, UNCHANGED, HU)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_patches_have_the_asked_shape_and_follow_the_generator() -> None:
    images, labels = _batches(0.5)(_generator(1))
    assert images.shape == (40, 1, 4, 4, 4)
    assert labels.shape == (40, 4, 4, 4)
    assert images.unique().tolist() == [0.0, torch.tensor(0.1).item(), torch.tensor(0.2).item()]
    assert torch.equal(_batches(0.5)(_generator(1))[1], labels)
    assert not torch.equal(_batches(0.5)(_generator(2))[1], labels)


def test_what_is_rare_is_seen_as_often_as_asked() -> None:
    _, anywhere = _batches(0.0, batch=60)(_generator())
    _, around = _batches(1.0, batch=60)(_generator())
    assert (anywhere > 0).flatten(1).any(1).float().mean() < 0.2
    assert (around > 0).flatten(1).any(1).all()
    share = (around == 2).flatten(1).any(1).float().mean()
    assert 0.3 < share < 0.7, "one voxel of class 2 is met as often as eight of class 1"


def test_a_case_smaller_than_a_patch_is_padded() -> None:
    images, labels = _batches(0.5, (32, 24, 28), batch=1)(_generator())
    assert (images[0, 0, 20:] == torch.tensor(HU / 10)).all(), "what is beyond a case is scaled as the case is"
    assert (labels[0, 20:] == 0).all()
    assert (labels[0] == 2).sum() == 1


def test_a_volume_without_foreground_gives_no_voxel() -> None:
    assert foreground_voxel(np.zeros((3, 3, 3), np.uint8), _generator()) is None


def test_every_class_of_cases_is_drawn_equally_often() -> None:
    pool = Pool(_case, range(10), classes=[0] * 9 + [1])
    generator = _generator()
    share = np.mean([pool.number(generator) == 9 for _ in range(400)])
    assert 0.42 < share < 0.58


def test_synthetic_cases_have_their_share() -> None:
    real, synthetic = Pool(_case, [1]), Pool(_case, [7])
    generator = _generator()
    values = [int(Mixture(synthetic, real, 0.25).draw(generator)[0].max()) for _ in range(400)]
    assert 0.18 < values.count(7) / 400 < 0.32
    assert {int(Mixture(synthetic).draw(generator)[0].max()) for _ in range(5)} == {7}


def test_a_window_inside_is_cut_as_it_is() -> None:
    values = torch.arange(60).view(3, 4, 5)
    assert torch.equal(cut(values, (1, 1, 1), (2, 2, 2), 0), values[1:3, 1:3, 1:3])
    beyond = cut(values[None], (2, 2, 4), (2, 2, 2), -1)
    assert beyond.shape == (1, 2, 2, 2)
    assert (beyond[0, 1] == -1).all()
    assert beyond[0, 0].tolist() == [[54, -1], [59, -1]]
