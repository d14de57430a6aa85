"""Curves and distributions as PNG, drawn by matplotlib without a display."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from training.metrics.calibration import ReliabilityBin
from training.metrics.classification import RocCurve
from training.metrics.detection import FrocCurve

SIZE_INCHES = (4.6, 3.8)
DOTS_PER_INCH = 100


def plot_roc(curves: Mapping[str, RocCurve]) -> bytes:
    """Sensitivity against 1 - specificity, one line per model."""
    canvas, axes = _canvas("1 − specificity", "sensitivity")
    for name, curve in curves.items():
        axes.plot(curve.false_positive_rate, curve.true_positive_rate, label=name, drawstyle="steps-post")
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    return _png(canvas, axes)


def plot_froc(curves: Mapping[str, FrocCurve]) -> bytes:
    """Sensitivity against false positives per scan."""
    canvas, axes = _canvas("false positives per scan", "sensitivity")
    for name, curve in curves.items():
        axes.plot(curve.false_positives_per_scan, curve.sensitivity, label=name, marker=".")
    axes.set(xlim=(0, None), ylim=(-0.01, 1.01))
    return _png(canvas, axes)


def plot_reliability(tables: Mapping[str, Sequence[ReliabilityBin]]) -> bytes:
    """Observed share against stated probability; the area of a dot grows with its cases."""
    canvas, axes = _canvas("stated probability", "observed share")
    for name, table in tables.items():
        x, y = [row.mean_probability for row in table], [row.observed_share for row in table]
        (line,) = axes.plot(x, y, label=name)
        axes.scatter(x, y, s=[8 + 3 * row.cases for row in table], color=line.get_color())
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    return _png(canvas, axes)


def plot_distribution(values: Mapping[str, Sequence[float]], name: str) -> bytes:
    """Every case as a dot beside a box of the quartiles, one column per structure."""
    canvas, axes = _canvas("", name)
    kept = {label: np.array([value for value in column if not np.isnan(value)]) for label, column in values.items()}
    axes.boxplot(list(kept.values()), showfliers=False, tick_labels=list(kept))
    for place, column in enumerate(kept.values(), start=1):
        spread = np.linspace(-0.15, 0.15, len(column)) if len(column) > 1 else np.zeros(len(column))
        axes.scatter(place + spread, column, s=10, alpha=0.6)
    return _png(canvas, axes)


def plot_confusion(table: np.ndarray, classes: Sequence[str]) -> bytes:
    """Counts by true class (rows) and answer (columns)."""
    canvas, axes = _canvas("answer", "truth")
    axes.imshow(table, cmap="Blues")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    for (row, column), count in np.ndenumerate(table):
        axes.text(column, row, str(count), ha="center", va="center", color="white" if count > table.max() / 2 else "black")
    axes.grid(visible=False)
    return _png(canvas, axes)


def _canvas(x: str, y: str) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return canvas, axes


def _png(canvas: Canvas, axes: Axes) -> bytes:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small")
    stream = io.BytesIO()
    canvas.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
