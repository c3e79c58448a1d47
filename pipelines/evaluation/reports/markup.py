"""HTML that escapes by default, and numbers as people read them.

Text is a `str` and is escaped where it enters; only `Markup` made here passes through. Control and direction-changing
characters of hostile text become visible escapes, so a page shows what is there and cannot be turned around.
"""

import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_VOID: Final = frozenset({"meta", "br", "img", "hr", "line", "rect", "circle", "path"})

DASH: Final = "–"


class Markup(str):
    """HTML that this package wrote; everything else is text."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escaped text."""
    if isinstance(value, Markup):
        return value
    visible = _INVISIBLE.sub(lambda match: f"\\u{ord(match.group()):04x}", str(value))
    return Markup(html.escape(visible, quote=True))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element; attributes given as `class_` or `stroke_width` lose the final and turn the inner underscores into
    hyphens; those that are None are left out."""
    parts = [name]
    for key, value in attributes.items():
        label = key.rstrip("_").replace("_", "-")
        if not _NAME.fullmatch(label.lower()):
            raise ValueError(f"{key!r} is no attribute name")
        if value is not None:
            parts.append(f'{label}="{text(value)}"')
    opening = " ".join(parts)
    if name in _VOID:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Markup:
    return Markup("".join(text(child) for child in children if child is not None))


def table(
    headers: Sequence[object], rows: Iterable[Sequence[object]], numeric: Iterable[int] = (), class_: str | None = None
) -> Markup:
    """A table; `numeric` columns (from 0) are aligned right."""
    right = frozenset(numeric)

    def row(cells: Sequence[object], kind: str) -> Markup:
        return tag("tr", *(tag(kind, cell, class_="n" if i in right else None) for i, cell in enumerate(cells)))

    head = tag("thead", row(headers, "th"))
    body = tag("tbody", *(row(cells, "td") for cells in rows))
    return tag("div", tag("table", head, body, class_=class_), class_="scroll")


def section(title: str, *children: object, note: object = None) -> Markup:
    """A titled part of the page; nothing at all where every child is None."""
    if all(child is None for child in children):
        return Markup("")
    return tag("section", tag("h2", title), None if note is None else tag("p", note, class_="note"), *children)


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """A fixed-point number with a real minus sign; a dash for what is missing. Zero has no sign."""
    if value is None or not math.isfinite(value):
        return DASH
    shown = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if float(shown) == 0:
        shown = shown.lstrip("+-")
    return shown.replace("-", "−")


def interval(low: float | None, high: float | None, digits: int = 3, signed: bool = False) -> str:
    if low is None or high is None:
        return DASH
    return f"{number(low, digits, signed)} to {number(high, digits, signed)}"


def percent(value: float | None, digits: int = 1) -> str:
    return DASH if value is None else f"{number(100 * value, digits)} %"


def count(value: int | None) -> str:
    """A whole number with thin spaces between groups of three digits."""
    return DASH if value is None else f"{value:,}".replace(",", "\u2009")


def short_count(value: int | None) -> str:
    """A count for a headline: 948, 12.3 k, 1.20 M, 3.45 G."""
    if value is None:
        return DASH
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return str(value)


def listing(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
