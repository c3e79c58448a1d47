"""The training curve as an SVG inside an `<img>` data URI: matplotlib without a display, and always the same bytes."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipelines.core.series import gaussian_filter
from pipelines.evaluation.reports.data import LossPoint
from pipelines.evaluation.reports.markup import Markup, tag

POINTS: Final = 1200
"""Points drawn at most, means over equal runs of steps: about 2 a pixel of the plot."""
_SMOOTH: Final = 120
"""The smoothed line is a Gaussian filter whose standard deviation is 1/120 of the run: as smooth as a mean of 1/34."""
_STYLE: Final = {
    "svg.hashsalt": "gristmill",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": "#3e4c59",
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "font.size": 10.5,
}


def loss_curve(points: Sequence[LossPoint]) -> Markup | None:
    """Training loss over steps, raw and smoothed, and the learning rate below it; None without two finite losses."""
    known = [point for point in points if point.loss is not None and np.isfinite(point.loss)]
    if len(known) < 2:
        return None
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    steps = np.array([point.step for point in known], np.float64)
    losses = np.array([point.loss for point in known], np.float64)
    rates = np.array([np.nan if point.learning_rate is None else point.learning_rate for point in known])
    with_rates = bool(np.isfinite(rates).any())
    with rc_context(_STYLE):  # type: ignore[arg-type]  # the stub wants literal keys
        figure = Figure(figsize=(9.2, 4.2 if with_rates else 3.4), layout="constrained")
        if with_rates:
            axes, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        else:
            axes = lower = figure.subplots()
        axes.plot(_thin(steps), _thin(losses), color="#9fb3c8", linewidth=0.9, label="each step")
        smoothed = gaussian_filter(_thin(losses), max(min(len(losses), POINTS) / _SMOOTH, 0.5))
        axes.plot(_thin(steps), smoothed, color="#0b6e99", linewidth=2, label="smoothed")
        axes.set_ylabel("loss, nats per token")
        axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
        axes.legend(frameon=False, loc="upper right")
        # The first steps of a fresh model would flatten the rest of the curve.
        top = float(np.quantile(losses, 0.995))
        margin = 0.05 * max(top - float(losses.min()), 1e-6)
        axes.set_ylim(float(losses.min()) - margin, top + margin)
        if with_rates:
            lower.plot(_thin(steps), _thin(rates), color="#b4690e", linewidth=1.4)
            lower.set_ylabel("rate")
            lower.set_ylim(bottom=0)
            lower.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2), useMathText=False)
        lower.set_xlabel("optimiser step")
        lower.margins(x=0.01)
        svg = _svg(figure)
    return tag("img", src=f"data:image/svg+xml;base64,{svg}", alt="Training loss over optimiser steps", class_="plot")


def picture(draw: Callable[[Any], None], alt: str, size: tuple[float, float]) -> Markup:
    """One plot of `size` inches: `draw` fills its axes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):  # type: ignore[arg-type]  # the stub wants literal keys
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.grid(color="#e4e7eb", linewidth=0.8)
        svg = _svg(figure)
    return tag(
        "img", src=f"data:image/svg+xml;base64,{svg}", alt=alt, class_="plot", style=f"max-width:{size[0] * 96:.0f}px"
    )


def _svg(figure: Any) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return base64.b64encode(stream.getvalue()).decode()


def _thin(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if len(values) <= POINTS:
        return values
    edges = np.linspace(0, len(values), POINTS + 1).astype(np.int64)
    return np.asarray(np.add.reduceat(values, edges[:-1]) / np.diff(edges), np.float64)
