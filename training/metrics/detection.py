"""Finding lesions: sensitivity against false positives per scan (FROC).

A candidate finds a lesion when its centre lies within the lesion's radius of the lesion's centre. A second candidate on the
same lesion counts neither way, nor does one on a lesion that is not to be scored.

Source: LUNA16 evaluation (Setio et al., 2017, "Validation, comparison, and combination of algorithms for nodule detection").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

Point = tuple[float, float, float]
FALSE_POSITIVES_PER_SCAN = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
MINIMUM_RADIUS_MM = 1.5
"""Truth given as a point or a single voxel can still be hit."""


@dataclass(frozen=True, slots=True)
class Lesion:
    """A true lesion.

    Attributes:
        centre_mm: in any frame of millimetres that the candidates share.
        scored: false for one that may be found or not (too small, only one reader).
    """

    centre_mm: Point
    diameter_mm: float
    scored: bool = True


@dataclass(frozen=True, slots=True)
class Candidate:
    """What an engine claims; confidence only has to order the candidates."""

    centre_mm: Point
    confidence: float


@dataclass(frozen=True, slots=True)
class ScanMatch:
    """One scan after matching.

    Attributes:
        found: for each scored lesion the highest confidence of a candidate on it, nan for a missed one.
        false_positives: confidence of each candidate on no lesion.
    """

    found: tuple[float, ...]
    false_positives: tuple[float, ...]


@dataclass(frozen=True)
class FrocCurve:
    """From no candidate at all to all of them."""

    false_positives_per_scan: Float64[np.ndarray, "points"]
    sensitivity: Float64[np.ndarray, "points"]


def match_scan(lesions: Sequence[Lesion], candidates: Sequence[Candidate]) -> ScanMatch:
    """Give every candidate to the nearest lesion whose radius holds it."""
    best = [math.nan] * len(lesions)
    false_positives = []
    for candidate in candidates:
        hit = _nearest_hit(lesions, candidate)
        if hit is None:
            false_positives.append(candidate.confidence)
        else:
            best[hit] = float(np.fmax(best[hit], candidate.confidence))
    scored = tuple(value for value, lesion in zip(best, lesions, strict=True) if lesion.scored)
    return ScanMatch(scored, tuple(false_positives))


def froc(scans: Sequence[ScanMatch]) -> FrocCurve:
    """The curve over all scans.

    Raises:
        ValueError: there is no scan, or no scored lesion in any.
    """
    found = np.array([value for scan in scans for value in scan.found], np.float64)
    if not len(found):
        raise ValueError("a FROC curve needs at least one true lesion")
    false_positives = np.array([value for scan in scans for value in scan.false_positives], np.float64)
    hits = found[~np.isnan(found)]
    thresholds = np.unique(np.concatenate([hits, false_positives]))[::-1]
    per_scan = [np.count_nonzero(false_positives >= threshold) / len(scans) for threshold in thresholds]
    sensitivity = [np.count_nonzero(hits >= threshold) / len(found) for threshold in thresholds]
    return FrocCurve(np.array([0.0, *per_scan]), np.array([0.0, *sensitivity]))


def sensitivity_at(curve: FrocCurve, false_positives_per_scan: float) -> float:
    """Share of the lesions found at so many false positives; between two thresholds on the line that joins them."""
    return float(np.interp(false_positives_per_scan, curve.false_positives_per_scan, curve.sensitivity))


def competition_performance_metric(curve: FrocCurve) -> float:
    """CPM: the mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per scan."""
    return float(np.mean([sensitivity_at(curve, rate) for rate in FALSE_POSITIVES_PER_SCAN]))


def _nearest_hit(lesions: Sequence[Lesion], candidate: Candidate) -> int | None:
    distances = [math.dist(lesion.centre_mm, candidate.centre_mm) for lesion in lesions]
    hits = [
        number
        for number, (lesion, distance) in enumerate(zip(lesions, distances, strict=True))
        if distance <= max(lesion.diameter_mm / 2, MINIMUM_RADIUS_MM)
    ]
    return min(hits, key=distances.__getitem__, default=None)
