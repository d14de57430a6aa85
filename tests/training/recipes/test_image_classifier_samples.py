import torch

from training.recipes._image_classifier_samples import Batches, Radiographs


def test_batches_follow_their_generator() -> None:
    cases = Radiographs(torch.rand(6, 1, 32, 32), torch.tensor([0, 1] * 3), torch.zeros(6, 32, 32, dtype=torch.bool))
    batches = Batches(cases, 4)
    first, again, other = (batches(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first[0].shape == (4, 1, 32, 32)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
