import pytest
import torch
from torch.nn import functional

from training.losses import LossChoice, inverse_frequency, make_loss

LABELS = torch.tensor([[0, 1, 1, 0, 2, 2]])
SURE = functional.one_hot(LABELS, 3).movedim(-1, 1) * 40.0


def _logits() -> torch.Tensor:
    return torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(0))


def _labels() -> torch.Tensor:
    return torch.randint(3, (2, 4, 4, 4), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("choice", [LossChoice(), LossChoice(0, 0, 1), LossChoice(0, 1, 0), LossChoice(1, 1, 1)])
def test_a_loss_is_nothing_for_a_sure_and_right_answer(choice: LossChoice) -> None:
    assert float(make_loss(choice)(SURE, LABELS)) < 1e-6
    assert float(make_loss(choice)(-SURE, LABELS)) > 0.5


def test_the_sum_is_that_of_its_weighted_terms() -> None:
    logits, labels = _logits(), _labels()
    single = [make_loss(LossChoice(*terms))(logits, labels) for terms in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    whole = make_loss(LossChoice(0.5, 2.0, 3.0))(logits, labels)
    assert torch.allclose(whole, 0.5 * single[0] + 2 * single[1] + 3 * single[2])


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    logits, labels = _logits(), _labels()
    focal = make_loss(LossChoice(0, 0, 1, focal_gamma=0.0))(logits, labels)
    assert torch.allclose(focal, functional.cross_entropy(logits, labels))


def test_a_class_without_weight_is_not_learnt() -> None:
    logits, labels = _logits().requires_grad_(), _labels()
    make_loss(LossChoice(1, 0, 0, class_weights=(1.0, 0.0, 1.0)))(logits, labels).backward()
    assert logits.grad is not None
    steepness = logits.grad.abs().sum(1)
    assert (steepness[labels == 1] == 0).all()
    assert (steepness[labels != 1] > 0).all()


def test_a_loss_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        LossChoice(0, 0, 0)


def test_weights_by_inverse_frequency_let_every_class_count_the_same() -> None:
    counts = (90, 9, 1)
    weights = inverse_frequency(counts)
    assert [round(weight * count, 6) for weight, count in zip(weights, counts, strict=True)] == [33.333333] * 3
    with pytest.raises(ValueError, match="at least one sample"):
        inverse_frequency((5, 0))


def test_dice_may_leave_out_the_classes_a_batch_does_not_hold() -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, 0] = 1
    logits = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float() * 30
    unsure = logits.clone()
    unsure[:, 2, 1] = 29.0  # a little of the class that is not there
    all_classes, present = (make_loss(LossChoice(cross_entropy=0.0, present_only=only)) for only in (False, True))
    assert float(present(logits, labels)) == pytest.approx(0.0, abs=1e-3)
    assert float(all_classes(unsure, labels)) > float(present(unsure, labels)) + 0.1
    empty = torch.zeros_like(labels)
    assert float(present(logits, empty)) == pytest.approx(float(all_classes(logits, empty)))
