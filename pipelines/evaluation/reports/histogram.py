"""A distribution as a small SVG: kept and dropped documents stacked, thresholds drawn in, the failing side shaded.

Heights are square roots of counts, so that a few dropped documents show beside thousands of kept ones.
"""

import math
from collections.abc import Sequence
from typing import Final

from pipelines.evaluation.reports.corpus_data import Histogram
from pipelines.evaluation.reports.markup import Markup, count, tag

WIDTH: Final = 320
HEIGHT: Final = 104
_LEFT: Final = 6
_AXIS: Final = 16
_TOP: Final = 8
KEPT: Final = "#0b6e99"
DROPPED: Final = "#e08e45"
_FAIL: Final = "#fdf0e7"


def histogram_svg(data: Histogram) -> Markup:
    """The bars, the axis with three or four ticks, and a line at each threshold."""
    low, high = _place(data, data.edges[0]), _place(data, data.edges[-1])
    span = high - low or 1.0
    floor = HEIGHT - _AXIS

    def at(value: float) -> float:
        inside = min(max(_place(data, value), low), high)
        return _LEFT + (inside - low) / span * (WIDTH - 2 * _LEFT)

    tallest = max((a + b for a, b in zip(data.kept, data.dropped, strict=True)), default=0)
    scale = (floor - _TOP) / math.sqrt(tallest) if tallest else 0.0
    shapes: list[Markup] = []
    whole_numbers = data.edges[0] % 1 == 0.5 and data.edges[1] - data.edges[0] == 1

    def border(comparison: str, value: float) -> float:
        """Where failing values begin; beside the bar of a whole number, not through it."""
        return at(value + (0.5 if comparison in ("<=", ">") else -0.5)) if whole_numbers else at(value)

    for _, comparison, value in data.thresholds:
        line = border(comparison, value)
        if comparison in (">=", ">"):
            shapes.append(_rect(_LEFT, _TOP, line - _LEFT, floor - _TOP, _FAIL))
        elif comparison in ("<=", "<"):
            shapes.append(_rect(line, _TOP, WIDTH - _LEFT - line, floor - _TOP, _FAIL))
    for left, right, kept, dropped in zip(data.edges, data.edges[1:], data.kept, data.dropped, strict=False):
        if not kept + dropped:
            continue
        start, width = at(left), max(at(right) - at(left) - 0.6, 0.8)
        whole = max(math.sqrt(kept + dropped) * scale, 1.2)
        lower = whole * kept / (kept + dropped)
        said = tag("title", f"{tick(left)} to {tick(right)}: {count(kept)} kept, {count(dropped)} dropped")
        shapes.append(_rect(start, floor - lower, width, lower, KEPT, said))
        shapes.append(_rect(start, floor - whole, width, whole - lower, DROPPED, said))
    for rule, comparison, value in data.thresholds:
        place = f"{border(comparison, value):.1f}"
        said = tag("title", f"{rule}: {comparison} {tick(value)}")
        shapes.append(
            tag("g", said, _line(place, place, 2, floor, "#c2410c", dashed=True), class_="threshold"),
        )
    shapes.append(_line(_LEFT, WIDTH - _LEFT, floor, floor, "#9aa5b1"))
    for value, anchor in _ticks(data):
        x = _LEFT if anchor == "start" else WIDTH - _LEFT if anchor == "end" else round(at(value), 1)
        shapes.append(tag("text", tick(value), x=x, y=HEIGHT - 4, text_anchor=anchor, class_="tick"))
    return tag("svg", *shapes, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", class_="histogram")


def _ticks(data: Histogram) -> Sequence[tuple[float, str]]:
    low, high = data.edges[0], data.edges[-1]
    if low % 1 == 0.5 and data.edges[1] - low == 1:
        return ((math.ceil(low), "start"), (math.floor(high), "end"))
    middle = math.sqrt(low * high) if data.logarithmic else (low + high) / 2
    return ((low, "start"), (middle, "middle"), (high, "end"))


def _place(data: Histogram, value: float) -> float:
    return math.log(max(value, data.edges[0])) if data.logarithmic else value


def tick(value: float) -> str:
    """A number for an axis: 0.125, 12, 3.4 k, 1.2 M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.3g} {unit}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _rect(x: float, y: float, width: float, height: float, colour: str, *children: Markup) -> Markup:
    size = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{max(width, 0):.1f}", "height": f"{max(height, 0):.1f}"}
    if not children:
        return tag("rect", **size, fill=colour)
    return tag("g", *children, tag("rect", **size, fill=colour))


def _line(x1: object, x2: object, y1: object, y2: object, colour: str, *, dashed: bool = False) -> Markup:
    return tag(
        "line", x1=x1, x2=x2, y1=y1, y2=y2, stroke=colour, stroke_width=1.4, stroke_dasharray="3 2" if dashed else None
    )
