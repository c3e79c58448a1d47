"""Intervals drawn inside a table: one small SVG a row on one common scale, and an axis below. No labels, no fonts.

The scale is chosen once for all rows; ticks lie at 1, 2 or 5 times a power of ten.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pipelines.evaluation.reports.markup import Markup, number, tag

WIDTH: Final = 230
HEIGHT: Final = 36
_MARGIN: Final = 16


@dataclass(frozen=True)
class Scale:
    """A linear scale from values to pixels, with its ticks and their decimals."""

    low: float
    high: float
    ticks: tuple[float, ...]
    digits: int

    def at(self, value: float) -> str:
        inside = min(max(value, self.low), self.high)
        return f"{_MARGIN + (inside - self.low) / (self.high - self.low) * (WIDTH - 2 * _MARGIN):.1f}"


def scale(values: Iterable[float | None], include_zero: bool = False) -> Scale:
    """The smallest scale with round ends around the values (None is left out), with 3 to 6 ticks."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if include_zero:
        known.append(0.0)
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return Scale(first * step, last * step, tuple(index * step for index in range(first, last + 1)), digits)


def mark(value: float | None, low: float | None, high: float | None, axis: Scale, colour: str) -> Markup:
    """One row: the interval as a bar, the value as a dot, a line at zero where zero is on the scale."""
    shapes = [_grid(axis)]
    if low is not None and high is not None:
        left, width = axis.at(low), max(2.0, float(axis.at(high)) - float(axis.at(low)))
        shapes.append(
            tag("rect", x=left, y=HEIGHT // 2 - 4, width=f"{width:.1f}", height=8, rx=4, fill=colour, opacity="0.32")
        )
    if value is not None:
        shapes.append(tag("circle", cx=axis.at(value), cy=HEIGHT // 2, r=4.5, fill=colour))
    return _svg(HEIGHT, *shapes)


def ruler(axis: Scale, signed: bool = False) -> Markup:
    """The axis: a tick and a number for every step."""
    labels = [
        tag("text", number(tick, axis.digits, signed), x=axis.at(tick), y=13, text_anchor="middle", class_="tick")
        for tick in axis.ticks
    ]
    return _svg(18, *labels)


def _grid(axis: Scale) -> Markup:
    lines = []
    for tick in axis.ticks:
        zero = abs(tick) < 1e-12
        colour = "#7b8794" if zero else "#e7eaee"
        lines.append(
            tag(
                "line",
                x1=axis.at(tick),
                x2=axis.at(tick),
                y1=0,
                y2=HEIGHT,
                stroke=colour,
                stroke_width=1.4 if zero else 1,
            )
        )
    return Markup("".join(lines))


def _svg(height: int, *shapes: Markup) -> Markup:
    return tag("svg", *shapes, width=WIDTH, height=height, viewBox=f"0 0 {WIDTH} {height}", role="img")
