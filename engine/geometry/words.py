"""Places and numbers in words."""

import numpy as np
from jaxtyping import Float64

from engine.geometry.model import Gap, Vector


def places(gaps: tuple[Gap, ...]) -> str:
    words = [f"{gap.width_mm:.1f} mm without a slice after {in_words(gap.place)}" for gap in gaps[:3]]
    return "; ".join(words) + (f"; and {len(gaps) - 3} more gaps" if len(gaps) > 3 else "")


def in_words(place: Float64[np.ndarray, "3"] | Vector) -> str:
    return "({:.1f}, {:.1f}, {:.1f}) mm".format(*(float(value) for value in place))


def vector(values: Float64[np.ndarray, "3"]) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
