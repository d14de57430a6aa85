import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.framing import Framing


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(20, 300), columns=st.integers(20, 300), height=st.integers(16, 96), width=st.integers(16, 96))
def test_a_place_in_the_image_comes_back_from_the_frame(rows: int, columns: int, height: int, width: int) -> None:
    framing = Framing((rows, columns), (height, width))
    down = torch.linspace(0, 1, rows)[:, None].expand(rows, columns)
    across = torch.linspace(0, 1, columns)[None].expand(rows, columns)
    pixel = 1.5 / min(framing.scaled)
    for ramp in (down, across):
        framed = framing.frame(ramp.contiguous(), -1.0)
        assert framed.shape == (height, width)
        back = framing.unframe(framed)
        assert back.shape == (rows, columns)
        assert float((back - ramp).abs().max()) <= pixel


def test_the_aspect_is_kept_and_what_lies_beside_is_told_apart() -> None:
    framing = Framing((200, 100), (64, 64))
    framed = framing.frame(torch.ones(200, 100), -2.0)
    assert framing.scaled == (64, 32)
    assert torch.allclose(framed[:, 16:48], torch.tensor(1.0))
    assert (framed[:, :16] == -2).all()
    assert (framed[:, 48:] == -2).all()


def test_a_smaller_pixel_is_the_mean_of_what_it_holds() -> None:
    stripes = torch.zeros(256, 256)
    stripes[:, ::2] = 1
    assert Framing((256, 256), (64, 64)).frame(stripes, 0.0)[8:-8, 8:-8].numpy() == pytest.approx(0.5, abs=0.02)
