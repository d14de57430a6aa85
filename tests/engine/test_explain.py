import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from engine.explain import grad_cam


class _BrightOrDark(nn.Module):
    """Logit 0 grows with what is brighter than 0, logit 1 with what is darker; at a half of the grid's resolution."""

    def __init__(self, dimensions: int, *, in_place: bool = False) -> None:
        super().__init__()
        convolution, pool = (nn.Conv2d, nn.AvgPool2d) if dimensions == 2 else (nn.Conv3d, nn.AvgPool3d)
        self.signs = convolution(1, 2, 1, bias=False)
        self.rectify = nn.ReLU(inplace=in_place)
        self.coarse = pool(2)
        self.unused = nn.Identity()
        with torch.no_grad():
            self.signs.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, *[1] * dimensions))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.coarse(self.rectify(self.signs(image)))
        return features.flatten(2).mean(2)


@settings(max_examples=20, deadline=None)
@given(
    dimensions=st.sampled_from([2, 3]),
    in_place=st.booleans(),
    bright=st.integers(0, 2),
    dark=st.integers(4, 6),
    class_index=st.sampled_from([0, 1]),
)
def test_the_heat_lies_where_the_evidence_of_the_class_is(
    dimensions: int, in_place: bool, bright: int, dark: int, class_index: int
) -> None:
    image = torch.zeros(1, *[24] * dimensions)
    boxes: list[tuple[slice, ...]] = [(slice(3 * corner, 3 * corner + 4),) * dimensions for corner in (bright, dark)]
    image[0][boxes[0]], image[0][boxes[1]] = 2.0, -3.0
    heat = grad_cam(_BrightOrDark(dimensions, in_place=in_place).eval(), "coarse", image, class_index)
    assert heat.shape == image.shape[1:]
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)
    assert heat[boxes[class_index]].min() > 0.1
    assert heat[boxes[1 - class_index]].max() == 0


def test_an_image_without_evidence_has_no_heat() -> None:
    assert not grad_cam(_BrightOrDark(2).eval(), "coarse", torch.full((1, 8, 8), -1.0), 0).any()


def test_a_layer_may_be_given_itself() -> None:
    network = _BrightOrDark(2).eval()
    image = torch.randn(1, 8, 8)
    assert (grad_cam(network, network.coarse, image, 1) == grad_cam(network, "coarse", image, 1)).all()


def test_frozen_weights_can_be_explained_and_stay_without_gradient() -> None:
    network = _BrightOrDark(2).eval().requires_grad_(requires_grad=False)
    assert grad_cam(network, "coarse", torch.ones(1, 8, 8), 0).max() == pytest.approx(1)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_layer_that_takes_no_part_is_refused() -> None:
    with pytest.raises(ValueError, match="takes no part"):
        grad_cam(_BrightOrDark(2).eval(), "unused", torch.ones(1, 8, 8), 0)
    with pytest.raises(AttributeError):
        grad_cam(_BrightOrDark(2).eval(), "missing", torch.ones(1, 8, 8), 0)
