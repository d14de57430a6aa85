"""Missing slices, told apart from protocols that space their slices unevenly."""

import numpy as np
from jaxtyping import Float64

from engine.geometry.model import Gap, StackGeometry
from engine.geometry.words import vector

EVEN = 0.05
"""Steps that differ by less belong to one evenly spaced stretch."""
STRETCH = 4
"""So many equal steps in a row are a stretch of their own."""
GAP_RATIO = 1.5


def find_gaps(geometry: StackGeometry) -> tuple[Gap, ...]:
    """Steps at least half as long again as those of the evenly spaced stretch beside them.

    Four or more equal steps in a row are a stretch of its own (a protocol that scans one region more densely), never gaps.
    """
    steps = np.diff(geometry.along_normal_mm)
    if len(steps) < 2:
        return ()
    ratios = steps / _usual_steps(steps)
    return tuple(
        Gap(
            after_mm=float(geometry.along_normal_mm[index]),
            width_mm=float(steps[index]),
            missing=max(1, round(float(ratios[index])) - 1),
            place=vector(geometry.positions_mm[index]),
        )
        for index in np.flatnonzero(ratios >= GAP_RATIO)
    )


def _usual_steps(steps: Float64[np.ndarray, "steps"]) -> Float64[np.ndarray, "steps"]:
    """What each step should be: itself within an even stretch, else the smaller step of the stretches on either side."""
    starts = np.concatenate([[0], 1 + np.flatnonzero(np.abs(np.diff(steps)) > EVEN * np.minimum(steps[1:], steps[:-1]))])
    lengths = np.diff(np.concatenate([starts, [len(steps)]]))
    even = np.repeat(lengths >= STRETCH, lengths)
    if not even.any():
        return np.full(len(steps), np.quantile(steps, 0.25, method="lower"))
    places = np.flatnonzero(even)
    after = np.searchsorted(places, np.arange(len(steps)))
    before_step = steps[places[np.clip(np.searchsorted(places, np.arange(len(steps)), side="right") - 1, 0, None)]]
    after_step = steps[places[np.clip(after, None, len(places) - 1)]]
    return np.asarray(np.minimum(before_step, after_step))
